"""Rolling up: hours that are over, summed once, so that reports need not read their rows again.

Every write notes the hours whose raw rows it changed (`stale_hours`). Here those hours are summed
anew. One that is not done yet costs time and never truth: reports read its raw rows instead.
"""

import asyncio
import logging
import sqlite3
from typing import NoReturn

from llm_router.clock import Clock, utc_text
from llm_router.errors import StorageError
from llm_router.storage import hours
from llm_router.storage.sqlite import Database

log = logging.getLogger(__name__)

EVERY_S = 60.0
# An hour is rolled up only when it has been over for this long: most of its requests have ended.
GRACE_S = 120.0
# Few enough that a transaction does not keep the ledger's other rows waiting.
_HOURS_AT_ONCE = 4

_STALE = "SELECT hour FROM stale_hours WHERE hour < ? ORDER BY hour LIMIT ?"

_REQUESTS = """
SELECT json_group_array(id) FROM requests
WHERE started_at >= :hour AND started_at < :hour || '~'
"""
_ATTEMPTS = """
SELECT json_group_array(id) FROM attempts
WHERE started_at >= :hour AND started_at < :hour || '~'
"""

_FORGET_REQUESTS = "DELETE FROM request_hours WHERE hour = :hour AND NOT is_pruned"
_FORGET_ATTEMPTS = "DELETE FROM attempt_hours WHERE hour = :hour AND NOT is_pruned"
_DONE = "DELETE FROM stale_hours WHERE hour = :hour"


async def roll_up(database: Database, before: str) -> int:
    """Sum every stale hour before the one that `before` (UTC text) lies in; return how many."""

    def some_hours(db: sqlite3.Connection) -> int:
        stale = list(db.execute(_STALE, (before[:13], _HOURS_AT_ONCE)))
        for row in stale:
            _sum_again(db, {"hour": row["hour"]})
        return len(stale)

    done = 0
    while count := await database.transact(some_hours):
        done += count
    return done


async def run_rollup(database: Database, clock: Clock) -> NoReturn:
    """Roll up hours as they end; a task of the process that writes the database."""
    while True:
        try:
            await roll_up(database, utc_text(clock.wall() - GRACE_S))
        except StorageError as exc:
            log.warning("hours could not be rolled up, reports stay slower: %s", exc)
        await asyncio.sleep(EVERY_S)


def _sum_again(db: sqlite3.Connection, hour: dict[str, str]) -> None:
    for sql in (_FORGET_REQUESTS, _FORGET_ATTEMPTS, _DONE):
        db.execute(sql, hour)
    [[requests]] = db.execute(_REQUESTS, hour)
    [[attempts]] = db.execute(_ATTEMPTS, hour)
    hours.add(db, requests, attempts, is_pruned=False)
