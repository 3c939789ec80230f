"""What a report is made of, and how it looks as JSON, as CSV and on a terminal. No SQL here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

KEYS = ("category", "model", "provider", "outcome", "classifier", "key", "hour", "day")
BUCKETS = ("hour", "day")
_OF_ATTEMPTS = frozenset(("model", "provider"))

COUNTS = (
    "requests",
    "in_flight",
    "completed",
    "failed",
    "truncated",
    "abandoned",
    "lost",
    "attempts",
    "fallbacks",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
)
MEASURES = ("time_to_first_chunk_ms", "total_ms", "overhead_ms")

_NANOS = 1_000_000_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Latency:
    """`mean` is over everything; the percentiles are over a sample of the newest raw rows."""

    mean: float | None = None
    p50: int | None = None
    p95: int | None = None
    p99: int | None = None

    def as_json(self) -> dict[str, float | int | None]:
        mean = None if self.mean is None else round(self.mean, 3)
        return {"mean": mean, "p50": self.p50, "p95": self.p95, "p99": self.p99}


@dataclass(frozen=True, slots=True)
class Group:
    """The sums over all rows that share `keys`; `counts` has the names of COUNTS."""

    keys: Mapping[str, str | None] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    cost_nanousd: int = 0
    cost_unknown: int = 0
    latency: Mapping[str, Latency] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            **self.keys,
            **{name: self.counts.get(name, 0) for name in COUNTS},
            "cost_usd": usd(self.cost_nanousd),
            "cost_nanousd": self.cost_nanousd,
            "cost_unknown_requests": self.cost_unknown,
            **{name: self.latency.get(name, Latency()).as_json() for name in MEASURES},
        }


NOTHING = Group()


def is_over_attempts(keys: Sequence[str]) -> bool:
    """Whether groups by these keys sum upstream calls: a failed try costs its own model."""
    return not _OF_ATTEMPTS.isdisjoint(keys)


def usd(nanousd: int) -> float:
    return nanousd / _NANOS


def ledger_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request or an attempt as JSON shows it, with USD beside nano-USD."""
    shown: dict[str, Any] = {}
    for name, value in row.items():
        if name == "cost_nanousd":
            shown["cost_usd"] = None if value is None else usd(value)
        shown[name] = bool(value) if name == "is_stream" else value
    return shown


def csv_cell(value: object) -> str:
    """Return text that a spreadsheet will not take for a formula."""
    text = "" if value is None else _plain(value)
    return "'" + text if text.startswith(_FORMULA) else text


def printable(value: object) -> str:
    """Return text for a terminal: a client chose the model's name, and may have put escapes in."""
    text = "-" if value is None else _plain(value)
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.9f}".rstrip("0").rstrip(".")
    return str(value)
