"""Pruning: raw rows go, what they add up to stays.

A request goes with its calls, and only when all of it is settled: rows in flight and rows whose
cost is still being asked for stay, however old. Their sums move into the rollups in the same
transaction, so totals, cost views and reports do not change.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from llm_router.clock import Clock, utc_text
from llm_router.errors import StorageError
from llm_router.storage import hours, texts
from llm_router.storage.readable import Readable
from llm_router.storage.sqlite import Database

log = logging.getLogger(__name__)

EVERY_S = 86_400.0
# A transaction of this many requests is over in a few hundredths of a second.
_AT_ONCE = 500
_DAY_S = 86_400
_NONE = "[]"

# Over, and no cost of it is still being asked for.
_SETTLED_REQUESTS = """
    FROM requests r
    WHERE started_at < :before AND outcome IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM attempts a
        WHERE a.request_id = r.id
          AND (a.outcome IS NULL OR a.id IN (SELECT attempt_id FROM reconciliations))
    )
"""
# Calls that belong to no request, like those of a classifier that was asked to explain.
_SETTLED_STRAYS = """
    FROM attempts a
    WHERE started_at < :before AND outcome IS NOT NULL
      AND id NOT IN (SELECT attempt_id FROM reconciliations)
      AND NOT EXISTS (SELECT 1 FROM requests r WHERE r.id = a.request_id)
"""

_OLD_REQUESTS = f"""
SELECT json_group_array(id)
FROM (SELECT id {_SETTLED_REQUESTS} ORDER BY started_at LIMIT :at_once)
"""
_OLD_STRAYS = f"""
SELECT json_group_array(id)
FROM (SELECT id {_SETTLED_STRAYS} ORDER BY started_at LIMIT :at_once)
"""
_ATTEMPTS_OF = """
SELECT json_group_array(id) FROM attempts
WHERE request_id IN (SELECT value FROM json_each(:ids))
"""

_DROP_REQUESTS = "DELETE FROM requests WHERE id IN (SELECT value FROM json_each(:ids))"
_DROP_SHADOWS = """
DELETE FROM shadow_decisions WHERE request_id IN (SELECT value FROM json_each(:ids))
"""
_DROP_ATTEMPTS = "DELETE FROM attempts WHERE id IN (SELECT value FROM json_each(:ids))"

# What `prune` would delete, in one look.
_COUNT = f"""
WITH old AS MATERIALIZED (SELECT id {_SETTLED_REQUESTS})
SELECT (SELECT count(*) FROM old) AS requests,
       (SELECT count(*) FROM attempts WHERE request_id IN (SELECT id FROM old))
       + (SELECT count(*) {_SETTLED_STRAYS}) AS attempts
"""


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows went, or would go."""

    requests: int = 0
    attempts: int = 0

    def __add__(self, other: "Pruned") -> "Pruned":
        return Pruned(self.requests + other.requests, self.attempts + other.attempts)


async def count_prunable(database: Readable, before: str) -> Pruned:
    [row] = await database.read(_COUNT, {"before": before})
    return Pruned(row["requests"], row["attempts"])


async def prune(
    database: Database, before: str, after_each: Callable[[Pruned], object] = lambda done: None
) -> Pruned:
    """Delete settled rows that started before `before` (UTC text), in small transactions.

    `after_each` of these is told how many rows have gone.
    """
    total = Pruned()
    while (step := await database.transact(partial(_prune_some, before=before))) != Pruned():
        total += step
        after_each(total)
    return total


async def run_retention(database: Database, days: int, clock: Clock) -> NoReturn:
    """Prune once a day what is older than `days`; a task of the process that writes."""
    while True:
        try:
            pruned = await prune(database, utc_text(clock.wall() - days * _DAY_S))
            log.info("pruned %d requests and %d calls", pruned.requests, pruned.attempts)
        except StorageError as exc:
            log.warning("old rows could not be pruned, tomorrow again: %s", exc)
        await asyncio.sleep(EVERY_S)


def _prune_some(db: sqlite3.Connection, before: str) -> Pruned:
    limits = {"before": before, "at_once": _AT_ONCE}
    requests = _ids(db, _OLD_REQUESTS, limits)
    if requests == _NONE:
        attempts = _ids(db, _OLD_STRAYS, limits)
    else:
        attempts = _ids(db, _ATTEMPTS_OF, {"ids": requests})
    # Sums first: they look at requests and calls together.
    hours.add(db, requests, attempts, is_pruned=True)
    db.execute(_DROP_SHADOWS, {"ids": requests})
    texts.drop(db, requests)
    return Pruned(
        db.execute(_DROP_REQUESTS, {"ids": requests}).rowcount,
        db.execute(_DROP_ATTEMPTS, {"ids": attempts}).rowcount,
    )


def _ids(db: sqlite3.Connection, sql: str, params: dict[str, object]) -> str:
    [row] = db.execute(sql, params)
    return str(row[0])
