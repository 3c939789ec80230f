"""The ledger as somebody with a shell finds it: a sound file, and its tables at peace."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]

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


def faults_of_rows(requests: Iterable[Row], attempts: Iterable[Row]) -> list[str]:
    """Return what in the two tables contradicts itself."""
    by_request: dict[str, list[Row]] = {}
    for row in attempts:
        by_request.setdefault(row["request_id"], []).append(row)
    found = []
    for request in requests:
        calls = by_request.pop(request["id"], [])
        if request["outcome"] is None:
            continue
        if any(row["outcome"] is None for row in calls):
            found.append(f"{request['id']} is over and one of its calls is not")
        if request["attempts"] != sum(row["kind"] == "chat" for row in calls):
            found.append(f"{request['id']} counts {request['attempts']} of {len(calls)} calls")
        costs = [row["cost_nanousd"] for row in calls]
        if request["cost_nanousd"] != (None if None in costs else sum(costs)):
            found.append(f"{request['id']} costs {request['cost_nanousd']} and its calls {costs}")
        if (request["cost_nanousd"] is None) != (request["cost_source"] == "unknown"):
            found.append(f"{request['id']} costs {request['cost_nanousd']} by its source")
        if request["finished_at"] is None:
            found.append(f"{request['id']} is over and has no end")
        if request["outcome"] == "completed" and request["served_model"] is None:
            found.append(f"{request['id']} was completed by nobody")
    found.extend(
        f"calls of {request_id} have no request"
        for request_id, calls in by_request.items()
        if any(row["kind"] == "chat" for row in calls)  # an explanation asks classifiers only
    )
    return found


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
