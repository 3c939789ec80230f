"""What a batch's new rows add to the totals: summed first, then written, a row for each label.

The same as the triggers of migrations/0005_reports.sql do row by row, for rows that are updated: a
request or call counts once it has an outcome, and its hour must be rolled up again.
"""

import sqlite3
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, TypeVar

from llm_router.ledger.rows import AttemptRow, RequestRow
from llm_router.storage.inserts import NULL, Insert

# The rows of `latency_buckets`.
BOUNDS = (
    *(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000),
    *(30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 2**63 - 1),
)

_HOURS = Insert("stale_hours", 1, "ON CONFLICT DO NOTHING")
_REQUESTS = Insert(
    "request_counters",
    4,
    "ON CONFLICT DO UPDATE SET requests = requests + excluded.requests",
)
_ATTEMPTS = Insert(
    "attempt_counters",
    10,
    """
    ON CONFLICT DO UPDATE SET
        attempts          = attempts + excluded.attempts,
        prompt_tokens     = prompt_tokens + excluded.prompt_tokens,
        completion_tokens = completion_tokens + excluded.completion_tokens,
        cached_tokens     = cached_tokens + excluded.cached_tokens,
        reasoning_tokens  = reasoning_tokens + excluded.reasoning_tokens,
        cost_nanousd      = cost_nanousd + excluded.cost_nanousd
    """,
)
_LATENCIES = Insert(
    "latency_counters",
    5,
    """
    ON CONFLICT DO UPDATE SET
        observations = observations + excluded.observations,
        sum_ms       = sum_ms + excluded.sum_ms
    """,
)

_request_labels = attrgetter("category", "classifier", "outcome")
_attempt_labels = attrgetter("model", "kind", "outcome", "error_class")
_MEASURES = ("time_to_first_chunk", "total", "overhead")
_measured = attrgetter("time_to_first_chunk_ms", "total_ms", "overhead_ms")
_summed = attrgetter(
    "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "cost_nanousd"
)

Row = TypeVar("Row", RequestRow, AttemptRow)
Labels = tuple[str | None, ...]
Column = Sequence[Any]  # integers and NULL


class Totals:
    """What is to be added for rows that are inserted in the same transaction."""

    def __init__(self) -> None:
        self._hours: set[str] = set()
        self._requests: dict[Labels, int] = {}
        self._latencies: dict[tuple[str, str, int], list[int]] = {}
        self._attempts: dict[Labels, list[int]] = {}

    def add_rows(self, requests: Sequence[RequestRow], attempts: Sequence[AttemptRow]) -> None:
        self.add_hours({row.started_at for row in requests})
        self.add_hours({row.started_at for row in attempts})
        for labels, ended in _ended(requests, _request_labels).items():
            self.add_requests(labels, len(ended), _columns(map(_measured, ended)))
        for labels, calls in _ended(attempts, _attempt_labels).items():
            self.add_attempts(labels, len(calls), _columns(map(_summed, calls)))

    def add_hours(self, started_at: Iterable[str]) -> None:
        self._hours.update([at[:13] for at in started_at])

    def add_requests(self, labels: Labels, count: int, measured: Iterable[Column]) -> None:
        """`measured` are the columns with what each took: to its first chunk, in all, of ours."""
        self._requests[labels] = self._requests.get(labels, 0) + count
        for measure, column in zip(_MEASURES, measured, strict=True):
            self._observe(measure, labels[0] or "", sorted(_numbers(column)))

    def _observe(self, measure: str, category: str, times: Column) -> None:
        """`times` ascend, so those that fall into one bucket lie side by side."""
        start = 0
        while start < len(times):
            bound = BOUNDS[bisect_left(BOUNDS, times[start])]
            end = bisect_right(times, bound, start)
            sums = self._latencies.setdefault((measure, category, bound), [0, 0])
            sums[0] += end - start
            sums[1] += sum(times[start:end])
            start = end

    def add_attempts(self, labels: Labels, count: int, summed: Iterable[Column]) -> None:
        """`summed` are the columns of tokens and of money."""
        sums = self._attempts.setdefault(labels, [0] * 6)
        sums[0] += count
        for place, column in enumerate(summed, 1):
            sums[place] += sum(_numbers(column))

    def write(self, db: sqlite3.Connection) -> None:
        _HOURS.write(db, [(hour,) for hour in self._hours])
        _REQUESTS.write(db, [(*_texts(key), count) for key, count in self._requests.items()])
        _LATENCIES.write(db, [(*key, *sums) for key, sums in self._latencies.items()])
        _ATTEMPTS.write(db, [(*_texts(key), *sums) for key, sums in self._attempts.items()])


def _numbers(column: Column) -> Column:
    total = sum(column)
    if total == total:
        return column
    return [value for value in column if value is not NULL]  # which makes no sum a number


def _columns(rows: Iterable[tuple[int | None, ...]]) -> Iterator[Column]:
    return ([value for value in column if value is not None] for column in zip(*rows, strict=True))


def _ended(rows: Sequence[Row], labels: Callable[[Row], Labels]) -> dict[Labels, list[Row]]:
    """Group the rows that have an outcome by their labels, of which there are few."""
    groups: dict[Labels, list[Row]] = defaultdict(list)
    for row in rows:
        if row.outcome is not None:
            groups[labels(row)].append(row)
    return groups


def _texts(labels: Labels) -> tuple[str, ...]:
    return tuple(label or "" for label in labels)
