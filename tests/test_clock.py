import re
import time

import pytest

from llm_router.clock import SystemClock, utc_text


@pytest.mark.parametrize(
    ("unix_s", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_769_860_800.1239, "2026-01-31T12:00:00.123Z"),
        (1_769_860_799.9999, "2026-01-31T11:59:59.999Z"),
        (-1.5, "1969-12-31T23:59:58.500Z"),
    ],
)
def test_times_are_utc_with_milliseconds_and_sort_as_text(unix_s: float, text: str) -> None:
    assert utc_text(unix_s) == text


def test_the_systems_clock_shows_both_hands() -> None:
    clock = SystemClock()
    assert clock.monotonic() <= clock.monotonic()
    assert abs(clock.wall() - time.time()) < 60
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", utc_text(clock.wall()))
