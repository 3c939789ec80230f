"""The oracle: what upstream was asked and what clients got, against the rows.

`audit` returns every contradiction as a sentence. Upstream's log is the truth about calls, words
and money, the clients' transcripts about answers; `session` ties the three together.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from llm_router.demo.script import Call
from reliability.callers import Asked
from reliability.ledger_file import Row, faults_of_file, faults_of_rows, faults_of_transitions, rows
from reliability.transcript import misquotes

Finding = tuple[Literal["missing", "untrue"], str]

_NANO = 10**9


@dataclass(slots=True)
class Books:
    """What stands in a database, read as anybody may, and what by itself is wrong with it."""

    requests: Sequence[Row]
    attempts: Sequence[Row]
    faults: Sequence[str]
    by_session: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    by_request: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for row in self.requests:
            self.by_session[row["session"]].append(row)
        for row in self.attempts:
            self.by_request[row["request_id"]].append(row)

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(str(row["outcome"]) for row in self.requests)


@dataclass(frozen=True, slots=True)
class Findings:
    """`missing`: a call or an answer without a row. `untrue`: a row that says what was not so."""

    missing: Sequence[str]
    untrue: Sequence[str]

    @property
    def problems(self) -> list[str]:
        return [*self.missing, *self.untrue]


def read(database: Path) -> Books:
    requests, attempts = rows(database, "requests"), rows(database, "attempts")
    faults = faults_of_file(database) + faults_of_rows(requests, attempts)
    faults += faults_of_transitions(rows(database, "breaker_transitions"))
    return Books(requests, attempts, faults)


def audit(
    books: Books, calls: Iterable[Call], asked: Iterable[Asked], *, is_settled: bool = True
) -> Findings:
    """Compare. Only once `is_settled`, every cost must be known whose generation is."""
    by_session: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        by_session[call.json()["session_id"]].append(call)
    missing: list[str] = []
    untrue = list(books.faults)
    for kind, text in chain(_of_calls(books, by_session), _of_answers(books, by_session, asked)):
        (missing if kind == "missing" else untrue).append(text)
    if is_settled:
        untrue += _unknown_costs(books)
    untrue += _of_rows(books, by_session)
    return Findings(missing, untrue)


def _of_calls(books: Books, by_session: Mapping[str, list[Call]]) -> Iterator[Finding]:
    """Look for the rows of every call that upstream saw."""
    for session, made in by_session.items():
        found = books.by_session.get(session, [])
        if len(found) != 1:
            yield "missing", f"{session}: {len(made)} calls upstream, {len(found)} requests"
            continue
        for kind, text in _compare(books.by_request[found[0]["id"]], made):
            yield kind, f"{session}: {text}"


def _of_answers(
    books: Books, by_session: Mapping[str, list[Call]], asked: Iterable[Asked]
) -> Iterator[Finding]:
    """Hold every answer that a client got against upstream's words and against its row."""
    for each in asked:
        for text in misquotes(each.answer, by_session.get(each.session, [])):
            yield "untrue", f"{each.session}: {text}"
        found = books.by_session.get(each.session, [])
        if found:
            for text in _contradictions(each, found[0]):
                yield "untrue", f"{each.session}: {text}"
        elif each.answer.status is not None and not each.answer.is_turned_away:
            yield "missing", f"{each.session}: answered {each.answer.status}, but no row"


def _unknown_costs(books: Books) -> Iterator[str]:
    for row in books.attempts:
        if row["cost_nanousd"] is None and row["generation_id"] is not None:
            yield f"{row['id']}: the cost is not known, although the generation is"


def _of_rows(books: Books, by_session: Mapping[str, list[Call]]) -> Iterator[str]:
    """Look for rows of what is not over, or never was."""
    for row in books.requests:
        if row["outcome"] is None:
            yield f"{row['session']}: still in flight"
        if by_session.get(row["session"]):
            continue
        for attempt in books.by_request.get(row["id"], []):
            if not _may_be_unseen(attempt):
                yield f"{row['session']}: {_unseen(attempt)}"


def _compare(attempts: Sequence[Row], calls: Sequence[Call]) -> Iterator[Finding]:
    """Match the calls of one request with its attempts, model by model and in order."""
    waiting = list(attempts)
    for call in calls:
        row = next((a for a in waiting if _may_be(a, call)), None)
        if row is None:
            yield "missing", f"{call.model} was called, but has no row"
            continue
        waiting.remove(row)
        for text in _contradictions_of_call(row, call):
            yield "untrue", f"{call.model}: {text}"
    for row in waiting:
        if not _may_be_unseen(row):
            yield "untrue", _unseen(row)


def _unseen(row: Row) -> str:
    return f"{row['model']} is {row['outcome']}, but upstream saw no call"


def _may_be_unseen(row: Row) -> bool:
    """Return whether upstream need not know of a call.

    It is booked before it leaves, and may be given up, or die with its router, before it was read.
    """
    return row["http_status"] is None and row["generation_id"] is None


def _may_be(row: Row, call: Call) -> bool:
    if row["model"] != call.model:
        return False
    return row["generation_id"] in (None, call.generation_id)


def _contradictions_of_call(row: Row, call: Call) -> Iterator[str]:
    outcome = row["outcome"]
    if outcome == "completed" and (call.status != 200 or not call.finished):
        yield f"completed, but upstream's answer was {call.status} and not whole"
    if outcome == "completed" and row["generation_id"] != call.generation_id:
        yield "completed, but its generation is not the one that answered"
    if row["http_status"] not in (None, call.status):
        yield f"http_status {row['http_status']}, but upstream said {call.status}"
    if row["cost_nanousd"] is not None and row["cost_nanousd"] != _billed(call):
        yield f"cost {row['cost_nanousd']}, but billed {_billed(call)}"


def _contradictions(asked: Asked, row: Row) -> Iterator[str]:
    answer, outcome = asked.answer, row["outcome"]
    told = answer.headers.get("x-router-request-id")
    if told not in (None, row["id"]):
        yield f"the client was told {told}, the row is {row['id']}"
    if answer.is_good and outcome != "completed":
        yield f"the client has the whole answer, the row says {outcome}"
    served = answer.headers.get("x-router-model")
    if answer.is_good and served != row["served_model"]:
        yield f"served by {served}, the row says {row['served_model']}"
    if answer.error_type is not None:
        if outcome != "failed":
            yield f"the client got an error ({answer.status}), the row says {outcome}"
        elif row["http_status"] != answer.status:
            yield f"the client got {answer.status}, the row says {row['http_status']}"
    if outcome == "abandoned" and not (asked.has_left or answer.has_given_up):
        yield "abandoned, but the client stayed"
    if outcome == "truncated" and answer.is_good:
        yield "truncated, but the client has it all"


def _billed(call: Call) -> int:
    return round(call.billed_usd * _NANO)


def summary(books: Books, findings: Findings) -> dict[str, Any]:
    unknown = sum(a["cost_nanousd"] is None for a in books.attempts)
    return {
        "requests": len(books.requests),
        "attempts": len(books.attempts),
        "outcomes": dict(sorted(books.outcomes.items())),
        "attempts_without_known_cost": unknown,
        "rows_missing": len(findings.missing),
        "rows_untrue": len(findings.untrue),
    }
