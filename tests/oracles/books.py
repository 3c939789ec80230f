"""Every call that upstream saw has exactly one row, and the rows say what upstream billed.

This one knows calls by their model alone, for an upstream of raw bytes and requests without a
session; `reliability.books` goes by sessions, and `reliability.ledger_file` by the rows alone.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from llm_router.demo.script import Call
from reliability.ledger_file import Row, faults_of_file, faults_of_rows, faults_of_transitions, rows
from tests.fakes.chaos import Chaos

# Of these no byte of the request can have arrived.
_NEVER_SENT = ("transport", "connect_timeout", "local")


@dataclass(frozen=True, slots=True)
class Sent:
    """One chat call as upstream saw it. An upstream of raw bytes knows only the model."""

    model: str
    generation_id: str | None = None
    billed_nanousd: int | None = None


def sent_to(calls: Iterable[Call]) -> list[Sent]:
    """Return a router's chat calls among what a demo upstream recorded."""
    return [
        Sent(_model(call.body), call.generation_id, int(call.billed_usd * 10**9))
        for call in calls
        if call.path.endswith("/chat/completions")
        and call.headers.get("User-Agent", "").startswith("llm-router/")
    ]


def sent_to_chaos(chaos: Chaos) -> list[Sent]:
    """Return the chat calls that arrived whole."""
    return [
        Sent(_model(body))
        for connection in chaos.connections
        for line, body in connection.requests()
        if line.startswith(b"POST ") and b"/chat/completions " in line
    ]


def faults(path: Path, sent: Sequence[Sent] | None = None) -> list[str]:
    """Return everything wrong with a ledger, compared with what upstream saw if that is given."""
    requests, attempts = rows(path, "requests"), rows(path, "attempts")
    found = faults_of_file(path) + faults_of_rows(requests, attempts)
    found += faults_of_transitions(rows(path, "breaker_transitions"))
    return found + (differences(sent, attempts) if sent is not None else [])


def differences(sent: Sequence[Sent], attempts: Iterable[Row]) -> list[str]:
    """Return what keeps calls and rows from being a bijection in which the costs agree.

    A call that was cancelled on its way may be a row without having been seen: that one is said by
    a row without status. Calls of the same words share a generation's name. What a connection that
    had died was sent is taken for unread, whatever upstream made of it.
    """
    left = list(sent)
    found = []
    for row in sorted(attempts, key=_certainty):
        if row["error_class"] in _NEVER_SENT and row["http_status"] is None:
            continue
        match = _match(row, left)
        if match is not None:
            left.remove(match)
            booked, billed = row["cost_nanousd"], match.billed_nanousd
            is_known = None not in (booked, billed) and row["error_class"] != "stale_conn"
            if is_known and booked != billed:
                found.append(f"{_name(row)} is booked at {booked} and was billed {billed}")
        elif row["http_status"] is not None or row["generation_id"] is not None:
            found.append(f"{_name(row)} was never seen upstream")
    found.extend(f"a call to {call.model} has no row" for call in left)
    return found


def _certainty(row: Row) -> tuple[bool, bool, bool]:
    """Rows that say more about their call choose first."""
    return (
        row["generation_id"] is None,
        row["http_status"] is None,
        row["error_class"] == "stale_conn",
    )


def _match(row: Row, calls: Sequence[Sent]) -> Sent | None:
    of_model = [call for call in calls if call.model == row["model"]]
    if row["generation_id"] is not None:
        of_model = [c for c in of_model if c.generation_id in (None, row["generation_id"])]
    return max(of_model, key=partial(_likeness, row), default=None)


def _likeness(row: Row, call: Sent) -> tuple[bool, bool]:
    return call.generation_id == row["generation_id"], call.billed_nanousd == row["cost_nanousd"]


def _model(body: bytes) -> str:
    return str(json.loads(body)["model"])


def _name(row: Row) -> str:
    return f"{row['id']} ({row['model']}, {row['outcome']}, {row['error_class']})"
