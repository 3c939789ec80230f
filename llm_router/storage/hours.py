"""The rollups: adding raw rows, named by their ids, to the sums of their hours."""

import sqlite3

_SUMS = """
    requests                   = requests + excluded.requests,
    attempts                   = attempts + excluded.attempts,
    fallbacks                  = fallbacks + excluded.fallbacks,
    prompt_tokens              = prompt_tokens + excluded.prompt_tokens,
    completion_tokens          = completion_tokens + excluded.completion_tokens,
    cached_tokens              = cached_tokens + excluded.cached_tokens,
    reasoning_tokens           = reasoning_tokens + excluded.reasoning_tokens,
    cost_nanousd               = cost_nanousd + excluded.cost_nanousd,
    cost_unknown               = cost_unknown + excluded.cost_unknown,
    time_to_first_chunk_count  = time_to_first_chunk_count + excluded.time_to_first_chunk_count,
    time_to_first_chunk_sum_ms = time_to_first_chunk_sum_ms + excluded.time_to_first_chunk_sum_ms,
    total_count                = total_count + excluded.total_count,
    total_sum_ms               = total_sum_ms + excluded.total_sum_ms
"""

_ADD_REQUESTS = f"""
INSERT INTO request_hours
SELECT hour, category, classifier, outcome, client_key, sum(requests), sum(attempts),
       sum(fallbacks), sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens),
       sum(reasoning_tokens), sum(cost_nanousd), sum(cost_unknown),
       sum(time_to_first_chunk_count), sum(time_to_first_chunk_sum_ms), sum(total_count),
       sum(total_sum_ms), sum(overhead_count), sum(overhead_sum_ms), :is_pruned
FROM request_facts WHERE id IN (SELECT value FROM json_each(:ids)) GROUP BY 1, 2, 3, 4, 5
ON CONFLICT DO UPDATE SET {_SUMS},
    overhead_count             = overhead_count + excluded.overhead_count,
    overhead_sum_ms            = overhead_sum_ms + excluded.overhead_sum_ms
"""

_ADD_ATTEMPTS = f"""
INSERT INTO attempt_hours
SELECT hour, category, classifier, client_key, kind, model, provider, outcome, sum(requests),
       sum(attempts), sum(fallbacks), sum(prompt_tokens), sum(completion_tokens),
       sum(cached_tokens), sum(reasoning_tokens), sum(cost_nanousd), sum(cost_unknown),
       sum(time_to_first_chunk_count), sum(time_to_first_chunk_sum_ms), sum(total_count),
       sum(total_sum_ms), :is_pruned
FROM attempt_facts WHERE id IN (SELECT value FROM json_each(:ids))
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
ON CONFLICT DO UPDATE SET {_SUMS}
"""


def add(db: sqlite3.Connection, requests: str, attempts: str, *, is_pruned: bool) -> None:
    """Add the rows whose ids stand in two JSON arrays, the way SQLite hands them out."""
    db.execute(_ADD_REQUESTS, {"ids": requests, "is_pruned": is_pruned})
    db.execute(_ADD_ATTEMPTS, {"ids": attempts, "is_pruned": is_pruned})
