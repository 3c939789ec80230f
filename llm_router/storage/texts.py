"""Prompts and answers, where the operator keeps them: in a table of their own, and not for ever."""

import asyncio
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NoReturn

from llm_router.clock import Clock, utc_text
from llm_router.errors import StorageError
from llm_router.ledger.entry import TextKept
from llm_router.storage.inserts import Insert
from llm_router.storage.readable import Readable
from llm_router.storage.sqlite import Database

log = logging.getLogger(__name__)

EVERY_S = 3600.0
_AT_ONCE = 500
_DAY_S = 86_400

_ADD = Insert("texts (request_id, at, prompt, answer)", 4, "ON CONFLICT DO NOTHING")
_ONE = "SELECT prompt, answer FROM texts WHERE request_id = ?"
_DROP = "DELETE FROM texts WHERE request_id IN (SELECT value FROM json_each(:ids))"
_FORGET = """
DELETE FROM texts WHERE request_id IN (SELECT request_id FROM texts WHERE at < ? LIMIT ?)
"""


def write(db: sqlite3.Connection, entries: Sequence[TextKept]) -> None:
    """Add them, inside the caller's transaction."""
    _ADD.write(db, [(e.request_id, utc_text(e.at), e.prompt, e.answer) for e in entries])


async def text_of(database: Readable, request_id: str) -> sqlite3.Row | None:
    """Return `prompt` and `answer` of a request, if they were kept."""
    rows = await database.read(_ONE, (request_id,))
    return rows[0] if rows else None


async def forget(database: Database, before: str) -> int:
    """Delete texts from before `before` (UTC text), and return how many those were."""
    total = 0
    while count := await database.transact(partial(_forget_some, before=before)):
        total += count
    return total


async def run_forgetting(database: Database, days: int, clock: Clock) -> NoReturn:
    """Forget what is older than `days`, every hour; also what was kept under other settings."""
    while True:
        try:
            if count := await forget(database, utc_text(clock.wall() - days * _DAY_S)):
                log.info("forgot the texts of %d requests", count)
        except StorageError as exc:
            log.warning("old texts could not be deleted, in an hour again: %s", exc)
        await asyncio.sleep(EVERY_S)


def drop(db: sqlite3.Connection, requests: str) -> None:
    """Delete the texts of requests, whose ids are a JSON list, inside the caller's transaction."""
    with _overwriting(db):
        db.execute(_DROP, {"ids": requests})


def _forget_some(db: sqlite3.Connection, before: str) -> int:
    with _overwriting(db):
        return db.execute(_FORGET, (before, _AT_ONCE)).rowcount


@contextmanager
def _overwriting(db: sqlite3.Connection) -> Iterator[None]:
    """Overwrite what is deleted; else all of it would stay in free pages, and in every copy."""
    [[by_default]] = db.execute("PRAGMA secure_delete")
    db.execute("PRAGMA secure_delete = ON")
    try:
        yield
    finally:
        if not by_default:
            db.execute("PRAGMA secure_delete = OFF")
