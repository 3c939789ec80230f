"""Moments as people write them, and the period between two of them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from llm_router.clock import utc_text

MOMENTS = (
    "a time like 2026-01-31, 2026-01-31T12:00:00Z or 1769860800 (unix seconds), "
    "or how long ago: 90s, 15m, 24h, 7d, 4w"
)

_AGO = re.compile(r"([0-9]{1,9})([smhdw])")
_UNIX = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_UNIX_MS = re.compile(r"[0-9]{13}")
_EAST = re.compile(r"(T[0-9:.]+) ([0-9]{2}:[0-9]{2})")  # a + that nobody escaped in a query
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

_BEGINNING = "0000-01-01T00:00:00.000Z"
_END = "9999-12-31T23:59:59.999Z"


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` up to, not including, `until`: UTC text as in the ledger; None is open."""

    since: str | None = None
    until: str | None = None

    @property
    def is_empty(self) -> bool:
        """True where nothing can lie between the two ends."""
        return self.since is not None and self.until is not None and self.since >= self.until

    @property
    def bounds(self) -> dict[str, str]:
        """Return both ends as SQL parameters that compare with every time there is."""
        return {"since": self.since or _BEGINNING, "until": self.until or _END}


ALL_TIME = Period()


def parse_moment(text: str, now: float) -> str:
    """Return UTC text; ValueError says what is allowed."""
    try:
        return utc_text(_unix_s(text.strip(), now))
    except (ValueError, OverflowError, OSError) as exc:
        raise ValueError(f"{text[:40]!r} is not {MOMENTS}") from exc


def _unix_s(text: str, now: float) -> float:
    if match := _AGO.fullmatch(text):
        return now - int(match[1]) * _UNIT_S[match[2]]
    if _UNIX.fullmatch(text):
        return float(text)
    if _UNIX_MS.fullmatch(text):
        return int(text) / 1000
    moment = datetime.fromisoformat(_EAST.sub(r"\1+\2", text))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
