"""What a batch's new rows add to the totals: summed first, then written, a row for each label.

The same as the triggers of migrations/0005_reports.sql do row by row, for rows that are updated: a
request or call counts once it has an outcome, and its hour must be rolled up again.
"""

import json
import sqlite3
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TypeVar

from llm_router.ledger.fold import AttemptRow, RequestRow
from llm_router.storage.inserts import Insert

_HOURS = Insert("stale_hours", 1, "ON CONFLICT DO NOTHING")
_REQUESTS = Insert(
    "request_counters", 4, "ON CONFLICT DO UPDATE SET requests = requests + excluded.requests"
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
_MEASURES = {
    "time_to_first_chunk": attrgetter("time_to_first_chunk_ms"),
    "total": attrgetter("total_ms"),
    "overhead": attrgetter("overhead_ms"),
}
_SUMS = (
    attrgetter("prompt_tokens"),
    attrgetter("completion_tokens"),
    attrgetter("cached_tokens"),
    attrgetter("reasoning_tokens"),
    attrgetter("cost_nanousd"),
)

Row = TypeVar("Row", RequestRow, AttemptRow)
Labels = tuple[str | None, ...]


def add(
    db: sqlite3.Connection, requests: Sequence[RequestRow], attempts: Sequence[AttemptRow]
) -> None:
    """Count rows that were inserted just now, in the same transaction."""
    hours = {row.started_at[:13] for row in requests} | {row.started_at[:13] for row in attempts}
    _HOURS.write(db, [(hour,) for hour in hours])
    by_labels = _ended(requests, _request_labels)
    _REQUESTS.write(db, [(*map(_label, key), len(rows)) for key, rows in by_labels.items()])
    _LATENCIES.write(db, _latencies(db, by_labels))
    _ATTEMPTS.write(db, _attempts(_ended(attempts, _attempt_labels)))


def _ended(rows: Sequence[Row], labels: Callable[[Row], Labels]) -> dict[Labels, list[Row]]:
    """Group the rows that have an outcome by their labels, of which there are few."""
    groups: dict[Labels, list[Row]] = defaultdict(list)
    for row in rows:
        if row.outcome is not None:
            groups[labels(row)].append(row)
    return groups


def _label(value: str | None) -> str:
    return value or ""


def _latencies(
    db: sqlite3.Connection, groups: dict[Labels, list[RequestRow]]
) -> list[tuple[object, ...]]:
    [[listed]] = db.execute("SELECT json_group_array(le_ms) FROM latency_buckets").fetchall()
    bounds = sorted(json.loads(listed))
    sums: dict[tuple[str, str, int], tuple[int, int]] = {}
    for (category, *_), rows in groups.items():
        for measure, value in _MEASURES.items():
            for ms, count in Counter(map(value, rows)).items():
                if ms is not None:
                    key = (measure, category or "", bounds[bisect_left(bounds, ms)])
                    observations, sum_ms = sums.get(key, (0, 0))
                    sums[key] = (observations + count, sum_ms + count * ms)
    return [(*key, *sum) for key, sum in sums.items()]


def _attempts(groups: dict[Labels, list[AttemptRow]]) -> list[tuple[object, ...]]:
    return [
        (*map(_label, key), len(rows), *(sum(filter(None, map(value, rows))) for value in _SUMS))
        for key, rows in groups.items()
    ]
