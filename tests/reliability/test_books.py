"""The oracle finds what is wrong: it is tried on books that are right but for one thing."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from llm_router.demo.script import Call
from reliability.books import Books, Findings, audit
from reliability.callers import Asked
from reliability.ledger_file import Row, faults_of_rows
from reliability.wire import Answer

MODEL = "z-ai/glm-5"


def a_call(**facts: Any) -> Call:
    message = {"role": "user", "content": "chunks=2"}
    body = msgspec.json.encode({"model": MODEL, "session_id": "s-1", "messages": [message]})
    call = Call("POST", "/", CIMultiDictProxy(CIMultiDict()), body, 0.0, MODEL, 200, "gen-1")
    call.billed_usd, call.finished = Decimal("0.000000042"), True
    for name, value in facts.items():
        setattr(call, name, value)
    return call


def a_request(**facts: Any) -> dict[str, Any]:
    row = {"id": "r", "session": "s-1", "outcome": "completed", "http_status": 200}
    row = {**row, "finished_at": "then", "attempts": 1, "served_model": MODEL, "cost_nanousd": 42}
    row |= facts
    return {"cost_source": "unknown" if row["cost_nanousd"] is None else "provider", **row}


def an_attempt(**facts: Any) -> dict[str, Any]:
    row = {"id": "r.1", "request_id": "r", "kind": "chat", "model": MODEL, "outcome": "completed"}
    return {**row, "http_status": 200, "generation_id": "gen-1", "cost_nanousd": 42, **facts}


HEADERS = {"x-router-request-id": "r", "x-router-model": MODEL}
SAID = b'{"choices":[{"message":{"content":"word0 word1 "}}]}'
ASKED = Asked("s-1", Answer(200, HEADERS, SAID, is_whole=True), has_left=False)


def audited(
    *,
    calls: list[Call] | None = None,
    asked: Asked = ASKED,
    requests: list[Row] | None = None,
    attempts: list[Row] | None = None,
) -> Findings:
    requests = [a_request()] if requests is None else requests
    attempts = [an_attempt()] if attempts is None else attempts
    books = Books(requests, attempts, faults_of_rows(requests, attempts))
    return audit(books, [a_call()] if calls is None else calls, [asked])


def test_books_that_tell_the_truth_are_clean() -> None:
    assert not audited().problems


def test_a_call_that_died_with_its_router_is_true_as_lost() -> None:
    findings = audited(
        calls=[a_call(finished=False)],
        asked=replace(ASKED, answer=Answer(200, HEADERS, b"{", is_whole=False)),
        requests=[a_request(outcome="lost", http_status=None, cost_nanousd=None)],
        attempts=[
            an_attempt(outcome="lost", http_status=None, cost_nanousd=None, generation_id=None)
        ],
    )
    assert not findings.problems


def test_a_call_that_was_given_up_before_upstream_read_it_is_true() -> None:
    refused = Answer(502, {}, b'{"error": {"type": "upstream_failed"}}', is_whole=True)
    unseen = {"http_status": None, "generation_id": None, "cost_nanousd": None}
    findings = audited(
        calls=[],
        asked=replace(ASKED, answer=refused),
        requests=[a_request(outcome="failed", http_status=502, cost_nanousd=None)],
        attempts=[an_attempt(outcome="failed", **unseen)],
    )
    assert not findings.problems


@pytest.mark.parametrize(
    "doubt",
    [
        lambda: audited(requests=[], attempts=[]),
        lambda: audited(requests=[a_request(attempts=0, cost_nanousd=0)], attempts=[]),
        lambda: audited(calls=[a_call(), a_call()]),
        lambda: audited(requests=[a_request(), a_request(id="r2")]),
        lambda: audited(calls=[], requests=[], attempts=[]),
    ],
    ids=[
        "nothing was written",
        "the call was not written",
        "one of two calls was not written",
        "one request became two",
        "an answer from nowhere",
    ],
)
def test_what_has_no_row_is_missing(doubt: Callable[[], Findings]) -> None:
    assert doubt().missing


@pytest.mark.parametrize(
    "doubt",
    [
        lambda: audited(attempts=[an_attempt(cost_nanousd=43)], requests=[a_request()]),
        lambda: audited(requests=[a_request(cost_nanousd=43)]),
        lambda: audited(requests=[a_request(outcome="lost")]),
        lambda: audited(requests=[a_request(outcome=None)]),
        lambda: audited(requests=[a_request(served_model="other/model")]),
        lambda: audited(requests=[a_request(attempts=2)]),
        lambda: audited(attempts=[an_attempt(), an_attempt(id="r.2")]),
        lambda: audited(attempts=[an_attempt(outcome=None)]),
        lambda: audited(attempts=[an_attempt(http_status=500)]),
        lambda: audited(calls=[a_call(finished=False)]),
        lambda: audited(calls=[a_call(status=500)]),
        lambda: audited(
            requests=[a_request(cost_nanousd=None)], attempts=[an_attempt(cost_nanousd=None)]
        ),
        lambda: audited(asked=replace(ASKED, answer=Answer(200, {"x-router-request-id": "q"}))),
        lambda: audited(requests=[a_request(outcome="abandoned")]),
        lambda: audited(calls=[]),
    ],
    ids=[
        "the call's cost",
        "the request's cost",
        "lost, though the client has it all",
        "for ever in flight",
        "served by another",
        "a number of attempts",
        "a call that nobody made",
        "an attempt for ever in flight",
        "a status that nobody gave",
        "completed, though it was not whole",
        "completed, though it was refused",
        "a cost that was never asked for",
        "another request's id",
        "abandoned by a client that stayed",
        "a call that never arrived",
    ],
)
def test_what_was_not_so_is_untrue(doubt: Callable[[], Findings]) -> None:
    assert doubt().untrue
