"""Percentiles of latencies, from the newest rows of a period.

Sorting a million rows for each look at a dashboard would be a waste: the newest SAMPLE rows stand
for all, and with fewer rows than that the answer is exact. Pruned rows have no percentiles.
"""

from collections.abc import Mapping, Sequence

from llm_router.ledger.report import is_over_attempts
from llm_router.storage.readable import Readable

SAMPLE = 10_000

# Nearest rank: the smallest value that at least so many per cent of the rows do not exceed.
_QUERY = """
WITH sample AS MATERIALIZED (
    SELECT iif(:category, category, NULL) AS category,
           iif(:classifier, classifier, NULL) AS classifier,
           iif(:outcome, outcome, NULL) AS outcome,
           iif(:key, client_key, NULL) AS key,
           {model} AS model,
           {provider} AS provider,
           iif(:day, substr(hour, 1, 10), NULL) AS day,
           iif(:hour, hour || ':00:00.000Z', NULL) AS hour,
           time_to_first_chunk_count, time_to_first_chunk_sum_ms, total_count, total_sum_ms,
           {overhead_count} AS overhead_count, {overhead_sum_ms} AS overhead_sum_ms
    FROM {of}_facts WHERE started_at >= :since AND started_at < :until AND outcome <> ''
    ORDER BY started_at DESC LIMIT :sample
), measured AS (
    SELECT category, classifier, outcome, key, model, provider, day, hour,
           'time_to_first_chunk_ms' AS measure, time_to_first_chunk_sum_ms AS ms
    FROM sample WHERE time_to_first_chunk_count
    UNION ALL
    SELECT category, classifier, outcome, key, model, provider, day, hour, 'total_ms', total_sum_ms
    FROM sample WHERE total_count
    UNION ALL
    SELECT category, classifier, outcome, key, model, provider, day, hour, 'overhead_ms',
           overhead_sum_ms
    FROM sample WHERE overhead_count
), ranked AS (
    SELECT *, row_number() OVER (one_group ORDER BY ms) AS rank, count(*) OVER one_group AS rows
    FROM measured
    WINDOW one_group AS (
        PARTITION BY category, classifier, outcome, key, model, provider, day, hour, measure)
)
SELECT category, classifier, outcome, key, model, provider, day, hour, measure,
       min(iif(rank * 100 >= rows * 50, ms, NULL)) AS p50,
       min(iif(rank * 100 >= rows * 95, ms, NULL)) AS p95,
       min(iif(rank * 100 >= rows * 99, ms, NULL)) AS p99
FROM ranked GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
"""
_OF_REQUESTS = _QUERY.format(
    of="request",
    model="NULL",
    provider="NULL",
    overhead_count="overhead_count",
    overhead_sum_ms="overhead_sum_ms",
)
_OF_ATTEMPTS = _QUERY.format(
    of="attempt",
    model="iif(:model, model, NULL)",
    provider="iif(:provider, provider, NULL)",
    overhead_count="0",
    overhead_sum_ms="0",
)


async def percentiles(
    database: Readable, keys: Sequence[str], params: Mapping[str, object]
) -> dict[tuple[str | None, ...], dict[str, tuple[int, int, int]]]:
    """Return p50, p95 and p99 of each measure, for each group that has finished rows."""
    sql = _OF_ATTEMPTS if is_over_attempts(keys) else _OF_REQUESTS
    found: dict[tuple[str | None, ...], dict[str, tuple[int, int, int]]] = {}
    for row in await database.read(sql, {**params, "sample": SAMPLE}):
        group = found.setdefault(tuple(row[key] for key in keys), {})
        group[row["measure"]] = (row["p50"], row["p95"], row["p99"])
    return found
