"""The database as somebody with a shell finds it: sound, and its two tables at peace."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.oracles.books import Sent, differences, faults_of_rows

_TABLES = {
    "requests": "SELECT * FROM requests ORDER BY id",
    "attempts": "SELECT * FROM attempts ORDER BY request_id, seq",
    "breaker_transitions": "SELECT * FROM breaker_transitions ORDER BY id",
}


def rows(path: Path, table: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(_TABLES[table])]


def faults_of_file(path: Path) -> list[str]:
    """Return what SQLite finds wrong with the file; a writer may be at work meanwhile."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
        found = [str(line) for (line,) in database.execute("PRAGMA integrity_check")]
        found += [f"foreign key: {row}" for row in database.execute("PRAGMA foreign_key_check")]
    return [line for line in found if line != "ok"]


def faults(path: Path, sent: Sequence[Sent] | None = None) -> list[str]:
    """Return everything wrong with a ledger, compared with what upstream saw if that is given."""
    requests, attempts = rows(path, "requests"), rows(path, "attempts")
    found = faults_of_file(path) + faults_of_rows(requests, attempts)
    found += faults_of_transitions(rows(path, "breaker_transitions"))
    return found + (differences(sent, attempts) if sent is not None else [])


def faults_of_transitions(moves: Sequence[dict[str, Any]]) -> list[str]:
    """Return where a breaker's history is no chain: each move begins where the last one ended."""
    states: dict[str, str] = {}
    found = []
    for move in moves:
        before = states.get(move["subject"], "closed")
        if move["from_state"] != before:
            found.append(f"{move['subject']} was {before} and moved from {move['from_state']}")
        states[move["subject"]] = move["to_state"]
    return found
