"""Breakers, cool-downs and gates as rows: their state now, and every transition there was."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from llm_router.clock import Clock, utc_text
from llm_router.ledger.entry import BreakerChanged
from llm_router.routing.merge import Claimed, lost_probe, settle
from llm_router.routing.model_gates import MAX_MODELS
from llm_router.routing.snapshot import StoredBreaker
from llm_router.storage.readable import Readable
from llm_router.storage.trouble import trusting

_PUT = """
INSERT OR REPLACE INTO breakers (
    subject, state, since, until, until_boot_s, cooldown_until, cooldown_boot_s,
    boot_id, reason, failures, wait_s, stamp, forced, counts_from, serial)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
        (SELECT coalesce(max(serial), 0) + 1 FROM breakers))
"""
# Clients may name models without end; as many are remembered here as in memory.
_FORGET = """
DELETE FROM breakers WHERE state = 'closed' AND forced IS NULL
AND serial < (SELECT serial FROM breakers ORDER BY serial DESC LIMIT 1 OFFSET ?)
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


def write_changes(db: sqlite3.Connection, changes: Iterable[BreakerChanged]) -> None:
    """Let changes take effect in the order in which they happened; `routing.merge` says how."""
    for change in sorted(changes, key=lambda change: change.stamp):
        before = _row_of(db, change.subject)
        settled = settle(before, change)
        if settled is None:
            continue
        db.execute(_PUT, _values(settled.row))
        if settled.is_move:
            left = before.state if before is not None else change.from_state
            move = (change.subject, left, change.to_state, change.reason)
            db.execute(_ADD_TRANSITION, (utc_text(change.at), *move, change.request_id))
    db.execute(_FORGET, (MAX_MODELS - 1,))


def claim(
    db: sqlite3.Connection, moves: Sequence[BreakerChanged], since: Mapping[str, int]
) -> Claimed:
    """Make the moves of a probe if no row has changed since its claimant looked."""
    found = {subject: _row_of(db, subject) for subject in since}
    if any(row is None or row.stamp != since[subject] for subject, row in found.items()):
        return Claimed(False, tuple(row for row in found.values() if row is not None))
    write_changes(db, moves)
    return Claimed(True)


def lose_probes(db: sqlite3.Connection, subjects: Iterable[str], clock: Clock) -> None:
    """Open what is half-open still: whoever probed there is gone."""
    for subject in subjects:
        row = _row_of(db, subject)
        if row is not None and row.state == "half_open":
            write_changes(db, [lost_probe(row, clock)])


async def load(database: Readable, *, after: int | None = None) -> list[StoredBreaker]:
    """Return every breaker and gate that has a row, or those written after a serial."""
    sql = "SELECT * FROM breakers WHERE serial > ifnull(?, -1) ORDER BY subject"
    rows = await database.read(sql, (after,))
    with trusting("breakers"):
        return [_stored(row) for row in rows]


async def transitions(
    database: Readable, subject: str | None = None, limit: int = 50
) -> list[Transition]:
    """Return the latest transitions, of one model or gate or of all, the newest first."""
    rows = await database.read(_TRANSITIONS, (subject, limit))
    return [Transition(*row) for row in rows]


async def was_called(database: Readable, model: str) -> bool:
    """True for a model that the ledger knows, which need not have had a breaker worth a row."""
    return bool(await database.read("SELECT 1 FROM attempts WHERE model = ? LIMIT 1", (model,)))


def _row_of(db: sqlite3.Connection, subject: str) -> StoredBreaker | None:
    for row in db.execute("SELECT * FROM breakers WHERE subject = ?", (subject,)):
        return _stored(row)
    return None


def _stored(row: sqlite3.Row) -> StoredBreaker:
    return StoredBreaker(
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
        stamp=row["stamp"],
        forced=row["forced"],
        counts_from=row["counts_from"],
    )


def _values(row: StoredBreaker) -> tuple[object, ...]:
    return (
        row.subject,
        row.state,
        utc_text(row.since),
        _text_or_none(row.until),
        row.until_boot_s,
        _text_or_none(row.cooldown_until),
        row.cooldown_boot_s,
        row.boot_id,
        row.reason,
        row.failures,
        row.wait_s,
        row.stamp,
        row.forced,
        row.counts_from,
    )


def _text_or_none(unix_s: float | None) -> str | None:
    return None if unix_s is None else utc_text(unix_s)


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _unix_or_none(text: str | None) -> float | None:
    return None if text is None else _unix(text)
