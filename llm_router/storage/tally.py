"""What a batch's new rows add to the totals: summed first, then written, a row for each label.

The same as the triggers of migrations/0005_reports.sql do row by row, for rows that are updated: a
request or call counts once it has an outcome, and its hour must be rolled up again.
"""

import json
import sqlite3
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from operator import attrgetter

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

_labels = attrgetter("category", "classifier", "outcome")
_MEASURES = {
    "time_to_first_chunk": attrgetter("category", "time_to_first_chunk_ms"),
    "total": attrgetter("category", "total_ms"),
    "overhead": attrgetter("category", "overhead_ms"),
}


def add(
    db: sqlite3.Connection, requests: Sequence[RequestRow], attempts: Sequence[AttemptRow]
) -> None:
    """Count rows that were inserted just now, in the same transaction."""
    hours = {row.started_at[:13] for row in requests} | {row.started_at[:13] for row in attempts}
    _HOURS.write(db, [(hour,) for hour in hours])
    ended = [row for row in requests if row.outcome is not None]
    _REQUESTS.write(db, _requests(ended))
    _LATENCIES.write(db, _latencies(db, ended))
    _ATTEMPTS.write(db, _attempts(attempts))


def _requests(rows: Sequence[RequestRow]) -> list[tuple[object, ...]]:
    return [
        (category or "", classifier or "", outcome, count)
        for (category, classifier, outcome), count in Counter(map(_labels, rows)).items()
    ]


def _latencies(db: sqlite3.Connection, rows: Sequence[RequestRow]) -> list[tuple[object, ...]]:
    [[listed]] = db.execute("SELECT json_group_array(le_ms) FROM latency_buckets").fetchall()
    bounds = sorted(json.loads(listed))
    sums: dict[tuple[str, str, int], tuple[int, int]] = {}
    for measure, values in _MEASURES.items():
        for (category, ms), count in Counter(map(values, rows)).items():
            if ms is not None:
                key = (measure, category or "", bounds[bisect_left(bounds, ms)])
                observations, sum_ms = sums.get(key, (0, 0))
                sums[key] = (observations + count, sum_ms + count * ms)
    return [(*key, *sum) for key, sum in sums.items()]


def _attempts(rows: Sequence[AttemptRow]) -> list[tuple[object, ...]]:
    sums: dict[tuple[str, ...], list[int]] = {}
    for row in rows:
        if row.outcome is not None:
            key = (row.model, row.kind, row.outcome, row.error_class or "")
            sum = sums.get(key) or sums.setdefault(key, [0] * 6)
            sum[0] += 1
            sum[1] += row.prompt_tokens or 0
            sum[2] += row.completion_tokens or 0
            sum[3] += row.cached_tokens or 0
            sum[4] += row.reasoning_tokens or 0
            sum[5] += row.cost_nanousd or 0
    return [(*key, *sum) for key, sum in sums.items()]
