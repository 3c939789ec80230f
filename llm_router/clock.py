"""The two clocks the router reads, as one parameter that tests can replace."""

import time
from datetime import UTC, datetime
from typing import Protocol

from llm_router import platform


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds that never jump and count suspended time; only differences mean anything."""

    def wall(self) -> float:
        """Unix seconds, for people and for after a reboot."""


class SystemClock:
    """The functions themselves, because a request reads the time a dozen times."""

    monotonic = staticmethod(platform.boot_time)
    wall = staticmethod(time.time)


def utc_text(unix_s: float) -> str:
    """Return `2026-01-31T12:00:00.123Z`."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
