"""Costs that were not known at once: asking for them, booking them, summing them up."""

import sqlite3
from collections.abc import Sequence

from llm_router.ledger.reconcile import Generation

# The weakest source speaks for the sum; what cost a computed 0 (a refusal) adds nothing to doubt.
# An attempt that is counted but has no row (its journal was damaged) leaves the sum unknown.
_SUM_ATTEMPTS = """
UPDATE requests SET (cost_nanousd, cost_source) = (
    SELECT iif(count(cost_nanousd) < max(count(*), requests.attempts),
               NULL, coalesce(sum(cost_nanousd), 0)),
           iif(count(cost_nanousd) < max(count(*), requests.attempts),
               'unknown',
               CASE max(CASE cost_source WHEN 'estimated'  THEN 4
                                         WHEN 'computed'   THEN iif(cost_nanousd = 0, 0, 3)
                                         WHEN 'reconciled' THEN 2
                                         ELSE 1 END)
                   WHEN 4 THEN 'estimated'
                   WHEN 2 THEN 'reconciled'
                   WHEN 1 THEN 'provider'
                   ELSE 'computed' END)
    FROM attempts WHERE request_id = requests.id
)
WHERE cost_nanousd IS NULL AND outcome IS NOT NULL AND id = """
_SUM_FOR_REQUEST = _SUM_ATTEMPTS + "?"
_SUM_FOR_ATTEMPT = _SUM_ATTEMPTS + "(SELECT request_id FROM attempts WHERE id = ?)"

_ASK_FOR_COST = """
INSERT INTO reconciliations (attempt_id, generation_id, next_try_at)
SELECT id, generation_id, finished_at FROM attempts
WHERE id = ? AND generation_id IS NOT NULL AND cost_nanousd IS NULL
ON CONFLICT DO NOTHING
"""

_SETTLE_ATTEMPT = """
UPDATE attempts SET
    cost_nanousd      = ?,
    cost_source       = 'reconciled',
    prompt_tokens     = coalesce(?, prompt_tokens),
    completion_tokens = coalesce(?, completion_tokens),
    cached_tokens     = coalesce(?, cached_tokens),
    reasoning_tokens  = coalesce(?, reasoning_tokens),
    provider          = coalesce(?, provider),
    served_model      = coalesce(?, served_model)
WHERE id = ? AND cost_nanousd IS NULL
"""
# A request's tokens are those of the attempt that served it. Only the last one has not failed.
_SETTLE_REQUEST = """
UPDATE requests SET
    prompt_tokens     = coalesce(a.prompt_tokens, requests.prompt_tokens),
    completion_tokens = coalesce(a.completion_tokens, requests.completion_tokens),
    cached_tokens     = coalesce(a.cached_tokens, requests.cached_tokens),
    reasoning_tokens  = coalesce(a.reasoning_tokens, requests.reasoning_tokens),
    served_model      = coalesce(requests.served_model, a.served_model)
FROM attempts a
WHERE a.id = ? AND a.kind = 'chat' AND a.outcome <> 'failed'
  AND requests.id = a.request_id AND requests.outcome IS NOT NULL
"""
_STOP_ASKING = "DELETE FROM reconciliations WHERE attempt_id = ?"


def ask_for(db: sqlite3.Connection, attempts: Sequence[str]) -> None:
    """Note those of these calls whose cost the provider may tell later."""
    db.executemany(_ASK_FOR_COST, [(id,) for id in attempts])


def sum_up(db: sqlite3.Connection, requests: Sequence[str]) -> None:
    """Sum the calls of requests that have ended and whose cost is not known."""
    db.executemany(_SUM_FOR_REQUEST, [(id,) for id in requests])


def sum_up_requests_of(db: sqlite3.Connection, attempts: Sequence[str]) -> None:
    """Like `sum_up`, for the requests that these calls belong to."""
    db.executemany(_SUM_FOR_ATTEMPT, [(id,) for id in attempts])


def settle(db: sqlite3.Connection, attempt_id: str, generation: Generation) -> None:
    usage = generation.usage
    db.execute(
        _SETTLE_ATTEMPT,
        (
            generation.cost_nanousd,
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.cached_tokens,
            usage.reasoning_tokens,
            generation.provider,
            generation.model,
            attempt_id,
        ),
    )
    db.execute(_SETTLE_REQUEST, (attempt_id,))
    sum_up_requests_of(db, [attempt_id])
    stop_asking(db, attempt_id)


def stop_asking(db: sqlite3.Connection, attempt_id: str) -> None:
    db.execute(_STOP_ASKING, (attempt_id,))
