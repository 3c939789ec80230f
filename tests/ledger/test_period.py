import pytest

from llm_router.ledger.period import Period, parse_moment

NOW = 1_768_046_400.0  # 2026-01-10T12:00:00Z


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", "2026-01-10T11:58:30.000Z"),
        ("15m", "2026-01-10T11:45:00.000Z"),
        ("24h", "2026-01-09T12:00:00.000Z"),
        ("7d", "2026-01-03T12:00:00.000Z"),
        ("2w", "2025-12-27T12:00:00.000Z"),
        ("0", "1970-01-01T00:00:00.000Z"),
        ("1768046400.25", "2026-01-10T12:00:00.250Z"),
        ("2026-01-31", "2026-01-31T00:00:00.000Z"),
        (" 2026-01-31T12:00:00Z ", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31T12:00", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31T12:00:00.123+02:00", "2026-01-31T10:00:00.123Z"),
        ("2026-01-31T12:00:00.123 02:00", "2026-01-31T10:00:00.123Z"),
        ("2026-01-31 12:00:00", "2026-01-31T12:00:00.000Z"),
        ("1768046400250", "2026-01-10T12:00:00.250Z"),
    ],
)
def test_a_moment_is_read_however_people_write_it(text: str, moment: str) -> None:
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "24 h",
        "-1h",
        "1e9",
        "nan",
        "2026-13-01",
        "999999999w",
        "999999999999",
        "٣d",
    ],
)
def test_what_is_no_moment_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="24h"):
        parse_moment(text, NOW)


def test_an_open_period_holds_every_time_there_is() -> None:
    bounds = Period().bounds
    assert bounds["since"] < "0001-01-01T00:00:00.000Z" < "9998-12-31" < bounds["until"]
    assert Period("a", "b").bounds == {"since": "a", "until": "b"}
