"""A plain answer: all of it or nothing, on a clock that jumps."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest

from llm_router.errors import HttpError, UpstreamError
from llm_router.ledger.cost import REFUSED_COST, Cost, Usage
from llm_router.ledger.entry import AttemptAnswered
from llm_router.routing.failures import Failure, FailureClass
from llm_router.routing.gates import ACCOUNT, ACCOUNT_LIMITS
from llm_router.routing.permits import Permit
from llm_router.upstream.response import UpstreamResponse
from tests.fakes.loop import run
from tests.proxy.bench import END, JSON, Answer, Bench, Step
from tests.proxy.chunks import COST_NANOUSD, ID, MODEL, USAGE

C = FailureClass
PAID = Cost(COST_NANOUSD, "provider")


def body(text: str = "Hi", finish: str = "stop", **facts: Any) -> bytes:
    choices = [{"message": {"content": text}, "finish_reason": finish}]
    whole = {"id": ID, "model": MODEL, "provider": "Azure", "choices": choices, "usage": USAGE}
    return json.dumps({**whole, **facts}).encode()


EMPTY = body("", usage={"completion_tokens": 0, "cost": 0})


def plain(*steps: Step, models: tuple[str, ...] = ("a/one",), **options: Any) -> Bench:
    answer = {key: options.pop(key) for key in ("delay_s", "headers") if key in options}
    return Bench(
        [Answer(steps=steps, **{"headers": JSON, **answer})],
        models=models,
        is_stream=False,
        **options,
    )


def given(bench: Bench) -> bytes:
    """Return the answer, which must be there, and in the books before it is given."""
    run(bench.dispatch())
    assert bench.client.is_ended
    assert bench.client.booked == [True]
    return bench.client.body


def test_the_answer_is_given_as_it_came() -> None:
    bench = plain(body()[:50], 1.0, body()[50:], END)
    assert given(bench) == body()
    assert bench.client.headers is not None
    assert bench.client.headers["x-router-model"] == "a/one"
    assert bench.client.headers["X-Generation-Id"] == "gen-header"
    [attempt] = bench.attempts
    assert (attempt.outcome, attempt.cost, attempt.usage) == ("completed", PAID, Usage(9, 10, 4, 3))
    assert (attempt.generation_id, attempt.provider) == (ID, "Azure")
    assert (bench.request.outcome, bench.request.served_model) == ("completed", "a/one")
    assert bench.request.time_to_first_chunk_ms is None


def test_a_generation_that_is_over_with_its_headers_is_named_with_its_outcome() -> None:
    """One append less; and the outcome is journaled before the body is given to anybody (F69)."""

    async def main() -> None:
        await come_whole(bench, body())
        await bench.dispatch()
        assert bench.client.body == body()

    bench = plain()
    run(main())
    kinds = [[type(entry).__name__ for entry in frame] for frame in bench.journal.frames]
    assert kinds == [
        ["RequestStarted", "RequestDecided", "AttemptStarted"],
        ["AttemptFinished", "RequestFinished"],
    ]


@pytest.mark.parametrize(
    "whole",
    [body(), EMPTY, json.dumps({"error": {"code": 502, "message": "broke"}}).encode()],
    ids=["an answer", "nothing", "an error"],
)
def test_whatever_comes_whole_shows_that_the_account_is_fine(whole: bytes) -> None:
    """F11"""

    async def main() -> None:
        refused = bench.breakers.admit("b/two", "req_0")
        assert isinstance(refused, Permit)
        bench.breakers.failed(refused, Failure(C.AUTH, "no such key", 401))
        await asyncio.sleep(ACCOUNT_LIMITS.first_wait_s)
        await come_whole(bench, whole)
        with suppress(HttpError):
            await bench.dispatch()

    bench = plain()
    run(main())
    assert bench.states[ACCOUNT] == "closed"


async def come_whole(bench: Bench, answer: bytes) -> None:
    """Have the provider answer at once, headers and body together."""
    bench.upstream.answers[0].steps = []
    response = await bench.upstream.chat()
    response.feed(answer)
    response.end()

    async def chat(*body: bytes | memoryview, **options: object) -> UpstreamResponse:
        return response

    bench.upstream.chat = chat  # type: ignore[method-assign]


def test_a_generation_that_goes_on_behind_its_headers_is_named_at_once() -> None:
    """F69"""
    bench = plain(1.0, body(), END)
    given(bench)
    assert bench.journal.all(AttemptAnswered) == [AttemptAnswered("req_1.1", "gen-header")]


def test_only_the_total_deadline_bounds_it() -> None:
    """F19"""
    slow = plain(body(), END, delay_s=1000, first_event_s=60, chain_s=90, total_s=1800)
    assert given(slow) == body()
    endless = plain(1000.0, b" ", 1000.0, models=("a/one", "b/two"), total_s=1800)
    error = run(endless.error())
    assert (error.status, error.type) == (504, "upstream_timeout")
    assert (endless.called, endless.attempts[0].error_class) == (["a/one"], "total_timeout")
    assert endless.attempts[0].cost == Cost(None, "unknown")
    assert endless.upstream.answers[0].connection.is_aborted


@pytest.mark.parametrize(
    ("steps", "kind", "cost"),
    [
        ([b'{"error":{"code":502}}', END], C.UPSTREAM_5XX, REFUSED_COST),
        ([b'{"error":{"code":429}}', END], C.RATE_LIMITED, REFUSED_COST),
        ([body(error={"code": 502}), END], C.UPSTREAM_5XX, PAID),
        ([body("", "error"), END], C.UPSTREAM_5XX, PAID),
        ([b"<html>", END], C.PROTOCOL, Cost(None, "unknown")),
        ([EMPTY, END], C.EMPTY, Cost(0, "provider")),
        ([b"{", UpstreamError(C.RESET_MID, "reset")], C.PROTOCOL, Cost(None, "unknown")),
        ([*[b" " * 2**23] * 9], C.RESPONSE_TOO_LARGE, Cost(None, "unknown")),
    ],
    ids=["error", "limit", "error that cost", "finish error", "HTML", "empty", "reset", "endless"],
)
def test_what_another_model_can_cure_is_cured(
    steps: list[Step], kind: FailureClass, cost: Cost
) -> None:
    """F15, F16, F22, F35"""
    bad = Answer(steps=steps, headers=JSON)
    good = Answer(steps=[body(), END], headers=JSON)
    bench = Bench([bad, good], is_stream=False)
    assert given(bench) == body()
    first, second = bench.attempts
    assert (first.outcome, first.error_class, first.cost) == ("failed", kind.value, cost)
    assert second.outcome == "completed"


def test_the_last_candidates_empty_answer_passes_as_it_is() -> None:
    bench = plain(EMPTY, END)
    assert given(bench) == EMPTY
    assert (bench.attempts[0].outcome, bench.attempts[0].note) == ("completed", "empty")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/html"},
        {},
        {**JSON, "Content-Encoding": "gzip"},
        {"Content-Type": "text/event-stream"},
    ],
    ids=["HTML", "no type", "compressed", "a stream"],
)
def test_an_answer_of_another_kind_is_none(headers: dict[str, str]) -> None:
    """F16, F32"""
    bench = plain(body(), END, headers=headers)
    assert run(bench.error()).type == "upstream_failed"
    assert bench.attempts[0].error_class == "protocol_pre"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "Application/JSON; charset=utf-8"},
        {**JSON, "Content-Encoding": "Identity"},
    ],
    ids=["with a charset", "identity"],
)
def test_the_same_in_other_words_is_taken(headers: dict[str, str]) -> None:
    assert given(plain(body(), END, headers=headers)) == body()
