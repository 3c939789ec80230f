"""What sessions stay with, one row each, for a start and for other workers."""

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from llm_router.clock import utc_text
from llm_router.ledger.entry import SessionKept
from llm_router.storage.readable import Readable
from llm_router.storage.trouble import trusting

# What is older than this nobody asks for any more.
FORGOTTEN_AFTER_S = 3600.0
# As many as a process remembers.
_MOST = 10_000

# Workers' journals are read one behind the other, so an older answer may come in later.
_PUT = """
INSERT INTO sessions (client_key, session, at, category, classifier, confidence, model, serial)
VALUES (?, ?, ?, ?, ?, ?, ?, (SELECT coalesce(max(serial), 0) + 1 FROM sessions))
ON CONFLICT (client_key, session) DO UPDATE SET
    at = excluded.at, category = excluded.category, classifier = excluded.classifier,
    confidence = excluded.confidence, model = excluded.model, serial = excluded.serial
WHERE excluded.at > at
"""
_FORGET = "DELETE FROM sessions WHERE at < ?"
_LATEST = """
SELECT client_key, session, at, category, classifier, confidence, model FROM sessions
WHERE serial > ? ORDER BY serial DESC LIMIT ?
"""


def write(db: sqlite3.Connection, kept: Iterable[SessionKept]) -> None:
    """Write them inside the caller's transaction, and drop those that are over."""
    latest = 0.0
    for entry in kept:
        latest = max(latest, entry.at)
        db.execute(
            _PUT,
            (
                entry.client_key,
                entry.session,
                utc_text(entry.at),
                entry.category,
                entry.classifier,
                entry.confidence,
                entry.model,
            ),
        )
    db.execute(_FORGET, (utc_text(latest - FORGOTTEN_AFTER_S),))


async def load(database: Readable, *, after: int | None = None) -> list[SessionKept]:
    """Return the sessions written after that serial, the latest last."""
    rows = await database.read(_LATEST, (after or 0, _MOST))
    with trusting("sessions"):
        return [
            SessionKept(
                row["session"],
                row["client_key"],
                datetime.fromisoformat(row["at"]).timestamp(),
                row["category"],
                row["classifier"],
                row["confidence"],
                row["model"],
            )
            for row in reversed(rows)
        ]
