"""The ledger summed up: totals, groups and percentiles of any period.

Both queries are constant texts. What to group by comes in as flags, so nothing that a client wrote
is ever part of the SQL. Hours that changed since they were rolled up, and the two that the period
cuts, are read from the raw rows; all others from the rollups (migrations/0005_reports.sql). Pruned
rows are known by the hour only.
"""

import sqlite3
from collections.abc import Mapping, Sequence

from llm_router.ledger.period import Period
from llm_router.ledger.report import (
    COUNTS,
    KEYS,
    MEASURES,
    NOTHING,
    Group,
    Latency,
    is_over_attempts,
)
from llm_router.storage.percentiles import percentiles
from llm_router.storage.readable import Readable

MAX_GROUPS = 10_000

# `of` is request or attempt: both have facts (raw rows) and hours (rollups) with equal columns.
_QUERY = """
WITH live (hour) AS (
    SELECT hour FROM stale_hours
    UNION SELECT substr(:since, 1, 13)
    UNION SELECT substr(:until, 1, 13)
), facts AS (
    SELECT f.* FROM live CROSS JOIN {of}_facts f
    WHERE f.started_at >= max(live.hour, :since) AND f.started_at < min(live.hour || '~', :until)
    UNION ALL
    SELECT h.*, NULL FROM {of}_hours h
    WHERE h.hour >= substr(:since, 1, 13) AND h.hour || ':00:00.000Z' < :until
      AND (h.is_pruned OR h.hour NOT IN (SELECT hour FROM live))
)
SELECT iif(:category, category, NULL)              AS category,
       iif(:classifier, classifier, NULL)          AS classifier,
       iif(:outcome, outcome, NULL)                AS outcome,
       iif(:key, client_key, NULL)                 AS key,
       {model}                                     AS model,
       {provider}                                  AS provider,
       iif(:day, substr(hour, 1, 10), NULL)        AS day,
       iif(:hour, hour || ':00:00.000Z', NULL)     AS hour,
       sum(requests)                               AS requests,
       sum(iif(outcome = '', {of}s, 0))            AS in_flight,
       sum(iif(outcome = 'completed', {of}s, 0))   AS completed,
       sum(iif(outcome = 'failed', {of}s, 0))      AS failed,
       sum(iif(outcome = 'truncated', {of}s, 0))   AS truncated,
       sum(iif(outcome = 'abandoned', {of}s, 0))   AS abandoned,
       sum(iif(outcome = 'lost', {of}s, 0))        AS lost,
       sum(attempts)                               AS attempts,
       sum(fallbacks)                              AS fallbacks,
       sum(prompt_tokens)                          AS prompt_tokens,
       sum(completion_tokens)                      AS completion_tokens,
       sum(cached_tokens)                          AS cached_tokens,
       sum(reasoning_tokens)                       AS reasoning_tokens,
       sum(cost_nanousd)                           AS cost_nanousd,
       sum(cost_unknown)                           AS cost_unknown,
       1.0 * sum(time_to_first_chunk_sum_ms) / nullif(sum(time_to_first_chunk_count), 0)
                                                   AS time_to_first_chunk_ms,
       1.0 * sum(total_sum_ms) / nullif(sum(total_count), 0) AS total_ms,
       {overhead}                                  AS overhead_ms
FROM facts GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
ORDER BY 7, 8, cost_nanousd DESC, sum({of}s) DESC, 1, 2, 3, 4, 5, 6 LIMIT :groups
"""
_OF_REQUESTS = _QUERY.format(
    of="request",
    model="NULL",
    provider="NULL",
    overhead="1.0 * sum(overhead_sum_ms) / nullif(sum(overhead_count), 0)",
)
_OF_ATTEMPTS = _QUERY.format(
    of="attempt",
    model="iif(:model, model, NULL)",
    provider="iif(:provider, provider, NULL)",
    overhead="NULL",
)


async def totals(database: Readable, period: Period) -> Group:
    groups = await report(database, period, ())
    return groups[0] if groups else NOTHING


async def report(database: Readable, period: Period, keys: Sequence[str]) -> list[Group]:
    """Return a group for each combination of values that `keys` (of report.KEYS) have.

    By model or provider the rows are upstream calls, classifier calls included, else requests. In
    order of time, then of cost; MAX_GROUPS at most.
    """
    params: dict[str, object] = {**{key: key in keys for key in KEYS}, **period.bounds}
    sql = _OF_ATTEMPTS if is_over_attempts(keys) else _OF_REQUESTS
    rows = await database.read(sql, {**params, "groups": MAX_GROUPS})
    ranks = await percentiles(database, keys, params)
    return [_group(row, keys, ranks.get(tuple(row[key] for key in keys), {})) for row in rows]


def _group(
    row: sqlite3.Row, keys: Sequence[str], ranks: Mapping[str, tuple[int, int, int]]
) -> Group:
    return Group(
        {key: row[key] or None for key in keys},
        {name: row[name] for name in COUNTS},
        row["cost_nanousd"],
        row["cost_unknown"],
        {
            measure: Latency(row[measure], *ranks.get(measure, (None, None, None)))
            for measure in MEASURES
        },
    )
