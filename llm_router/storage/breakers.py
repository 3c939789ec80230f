"""Breakers, cool-downs and gates as rows: their state now, and every transition there was."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import aiosqlite

from llm_router.clock import utc_text
from llm_router.ledger.entry import BreakerChanged
from llm_router.routing.breaker import StoredBreaker
from llm_router.storage.readable import Readable

# A change within a state (a cool-down, a longer lease) leaves `since` as it is.
_KEEP_STATE = """
INSERT INTO breakers (subject, state, since, until, until_boot_s, cooldown_until, cooldown_boot_s,
                      boot_id, reason, failures, wait_s)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (subject) DO UPDATE SET
    since           = iif(state = excluded.state, since, excluded.since),
    state           = excluded.state,
    until           = excluded.until,
    until_boot_s    = excluded.until_boot_s,
    cooldown_until  = excluded.cooldown_until,
    cooldown_boot_s = excluded.cooldown_boot_s,
    boot_id         = excluded.boot_id,
    reason          = excluded.reason,
    failures        = excluded.failures,
    wait_s          = excluded.wait_s
"""
_ADD_TRANSITION = """
INSERT INTO breaker_transitions (at, subject, from_state, to_state, reason, request_id)
VALUES (?, ?, ?, ?, ?, ?)
"""
_TRANSITIONS = """
SELECT at, subject, from_state, to_state, reason, request_id FROM breaker_transitions
WHERE ?1 IS NULL OR subject = ?1 ORDER BY id DESC LIMIT ?2
"""


@dataclass(frozen=True, slots=True)
class Transition:
    """One move of a breaker or gate; `at` is UTC text."""

    at: str
    subject: str
    from_state: str
    to_state: str
    reason: str
    request_id: str | None

    def as_dict(self) -> dict[str, str | None]:
        return {
            "at": self.at,
            "model": self.subject,
            "from": self.from_state,
            "to": self.to_state,
            "reason": self.reason,
            "request_id": self.request_id,
        }


async def store_changes(db: aiosqlite.Connection, changes: Sequence[BreakerChanged]) -> None:
    """Write changes in their order, inside the caller's transaction."""
    for sql, rows in _statements(changes):
        await db.executemany(sql, rows)


def write_changes(db: sqlite3.Connection, changes: Sequence[BreakerChanged]) -> None:
    """Like `store_changes`, for a caller on the connection's thread."""
    for sql, rows in _statements(changes):
        db.executemany(sql, rows)


async def load(database: Readable) -> list[StoredBreaker]:
    """Return every breaker and gate that has a row, for `Breakers.restore` and for people."""
    rows = await database.read("SELECT * FROM breakers ORDER BY subject")
    return [
        StoredBreaker(
            subject=row["subject"],
            state=row["state"],
            since=_unix(row["since"]),
            until=_unix_or_none(row["until"]),
            until_boot_s=row["until_boot_s"],
            cooldown_until=_unix_or_none(row["cooldown_until"]),
            cooldown_boot_s=row["cooldown_boot_s"],
            boot_id=row["boot_id"],
            reason=row["reason"],
            failures=row["failures"],
            wait_s=row["wait_s"],
        )
        for row in rows
    ]


async def transitions(
    database: Readable, subject: str | None = None, limit: int = 50
) -> list[Transition]:
    """Return the latest transitions, of one model or gate or of all, the newest first."""
    rows = await database.read(_TRANSITIONS, (subject, limit))
    return [Transition(*row) for row in rows]


def _statements(changes: Sequence[BreakerChanged]) -> list[tuple[str, list[tuple[object, ...]]]]:
    moves = [change for change in changes if change.from_state != change.to_state]
    return [
        (_KEEP_STATE, [_row(change) for change in changes]),
        (
            _ADD_TRANSITION,
            [
                (utc_text(c.at), c.subject, c.from_state, c.to_state, c.reason, c.request_id)
                for c in moves
            ],
        ),
    ]


def _row(change: BreakerChanged) -> tuple[object, ...]:
    return (
        change.subject,
        change.to_state,
        utc_text(change.at),
        _text_or_none(change.until),
        change.until_boot_s,
        _text_or_none(change.cooldown_until),
        change.cooldown_boot_s,
        change.boot_id,
        change.reason,
        change.failures,
        change.wait_s,
    )


def _text_or_none(unix_s: float | None) -> str | None:
    return None if unix_s is None else utc_text(unix_s)


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _unix_or_none(text: str | None) -> float | None:
    return None if text is None else _unix(text)
