"""The walk along the chain, on a clock that jumps."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest

from llm_router.errors import (
    ClientGone,
    HttpError,
    NoCandidate,
    NoCapableCandidate,
    Unavailable,
    UpstreamError,
    UpstreamFailed,
    UpstreamRefused,
)
from llm_router.ledger.cost import REFUSED_COST, UNKNOWN_COST
from llm_router.ledger.entry import AttemptStarted, RequestFinished
from llm_router.proxy.dispatch import dispatch
from llm_router.proxy.relay import ResponseCut
from llm_router.routing.failures import Failure, FailureClass
from llm_router.routing.permits import Permit
from tests.fakes.loop import run
from tests.proxy.bench import END, JSON, SSE, Answer, Bench, Step
from tests.proxy.chunks import COMMENT, DONE, ID, ROLE, content, event, finish, usage

C = FailureClass
WHOLE = content("Hello") + finish() + usage() + DONE
BUSY = Answer(status=503, headers=JSON, steps=[b'{"error":{"code":503}}', END])
UNREACHABLE = Answer(error=UpstreamError(C.TRANSPORT, "The connection failed."))
SILENT = Answer(steps=[])
PLAIN = Answer(
    headers=JSON,
    steps=[
        json.dumps({"id": ID, "choices": [{"message": {"content": "Hi"}}]}).encode(),
        END,
    ],
)


def refusing(status: int, **error: Any) -> Answer:
    body = json.dumps({"error": {"code": status, "message": "no", **error}}).encode()
    return Answer(status=status, headers=JSON, steps=[body, END])


# Falling back


def test_the_first_candidate_answers_and_nobody_else_is_asked() -> None:
    bench = Bench([Answer()])
    run(bench.dispatch())
    assert bench.called == ["a/one"]
    assert bench.client.body == WHOLE
    assert bench.client.is_ended


def test_each_candidate_gets_the_body_with_its_own_name_and_the_clients_headers() -> None:
    bench = Bench([BUSY, Answer()], headers={"x-session-id": "s-1"})
    run(bench.dispatch())
    assert [json.loads(body)["model"] for body in bench.upstream.bodies] == ["a/one", "b/two"]
    assert bench.upstream.headers == [{"x-session-id": "s-1"}] * 2


BEATS: list[Step] = [10.0, COMMENT]
FIRST = {
    "unreachable": UNREACHABLE,
    "no connection in time": Answer(error=UpstreamError(C.CONNECT_TIMEOUT, "late")),
    "no answer": Answer(error=UpstreamError(C.NO_RESPONSE, "broke")),
    "500": refusing(500),
    "503": BUSY,
    "408": refusing(408),
    "429": refusing(429),
    "model gone": refusing(404, message="No endpoints found for a/one."),
    "redirect": Answer(status=307, steps=[END]),
    "HTML": Answer(headers={"Content-Type": "text/html"}, steps=[b"<html>", END]),
    "JSON error": Answer(headers=JSON, steps=[b'{"error":{"code":502}}', END]),
    "JSON answer": Answer(headers=JSON, steps=[b'{"choices":[{"text":"x"}]}', END]),
    "compressed": Answer(headers={**SSE, "Content-Encoding": "gzip"}, steps=[b"\x1f\x8b", END]),
    "error as first event": Answer(steps=[event(choices=[], error={"code": 502}), END]),
    "role, then reset": Answer(steps=[ROLE, UpstreamError(C.RESET_MID, "reset")]),
    "role, then the end": Answer(steps=[ROLE, END]),
    "garbage": Answer(steps=[b"data: {oh\n\n"]),
    "comments for ever": Answer(steps=[COMMENT, *BEATS * 9]),
    "silence": SILENT,
    "no headers": Answer(delay_s=1000),
    "empty": Answer(steps=[ROLE, finish(), usage(completion_tokens=0), DONE, END]),
    "too large": Answer(steps=[b"data: " + b"x" * 2**20] * 17),
}


@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
def test_what_another_model_can_cure_is_cured_before_the_client_sees_anything(
    first: Answer,
) -> None:
    """F01, F02, F08, F09, F14, F15, F16, F17, F18, F19, F20, F27, F28, F32"""
    bench = Bench([first, Answer()])
    run(bench.dispatch())
    assert bench.called == ["a/one", "b/two"]
    assert bench.client.body == WHOLE
    assert bench.client.headers is not None
    assert bench.client.headers["x-router-model"] == "b/two"
    assert bench.client.headers["x-router-attempts"] == "2"
    assert [a.outcome for a in bench.attempts] == ["failed", "completed"]
    assert (bench.request.outcome, bench.request.served_model) == ("completed", "b/two")


@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
def test_every_way_out_settles_the_permit_and_frees_the_connection(first: Answer) -> None:
    bench = Bench([first], models=["a/one"])
    settled: list[Permit] = []
    for name in ("succeeded", "failed", "neutral"):
        watch(bench, name, settled)
    with suppress(HttpError):
        run(bench.dispatch())
    assert settled[0].model == "a/one"
    assert len(bench.attempts) == len(bench.journal.all(AttemptStarted)) == 1


def watch(bench: Bench, name: str, settled: list[Permit]) -> None:
    settle = getattr(bench.breakers, name)

    def noted(permit: Permit, *failure: Failure) -> None:
        if not permit.is_settled:
            settled.append(permit)
        settle(permit, *failure)
        assert permit.is_settled
        assert len(settled) == 1

    setattr(bench.breakers, name, noted)


@pytest.mark.parametrize(
    ("answer", "error_type", "status"),
    [
        (refusing(400, message="bad"), UpstreamRefused, 400),
        (refusing(422), UpstreamRefused, 422),
        (refusing(403, metadata={"reasons": ["violence"]}), UpstreamRefused, 403),
        (refusing(401), HttpError, 503),
        (refusing(402), HttpError, 503),
        (Answer(error=UpstreamError(C.LOCAL, "no sockets")), Unavailable, 503),
        (
            Answer(steps=[event(choices=[], error={"code": 400, "message": "too long"}), END]),
            UpstreamRefused,
            400,
        ),
    ],
    ids=["request", "semantics", "policy", "key", "credit", "our own", "request as event"],
)
def test_what_no_other_model_can_cure_ends_the_walk(
    answer: Answer, error_type: type[HttpError], status: int
) -> None:
    """F11, F12, F13, F75"""
    bench = Bench([answer, Answer()])
    error = run(bench.error())
    assert isinstance(error, error_type)
    assert error.status == status
    assert bench.called == ["a/one"]
    assert not bench.client.is_open


def test_a_chain_that_failed_says_so_of_every_candidate() -> None:
    bench = Bench([BUSY, UNREACHABLE, refusing(429)])
    error = run(bench.error())
    assert isinstance(error, UpstreamFailed)
    assert error.metadata is not None
    assert error.metadata["candidates"] == [
        {"model": "a/one", "error_class": "upstream_5xx", "http_status": 503},
        {"model": "b/two", "error_class": "transport"},
        {"model": "c/three", "error_class": "rate", "http_status": 429},
    ]
    assert [a.cost for a in bench.attempts] == [REFUSED_COST] * 3


def test_a_chain_that_has_shut_itself_off_says_until_when() -> None:
    """OpenRouter's SDKs go on for an hour unless they are told when to come back."""

    async def main() -> list[float | None]:
        return [(await bench.error()).retry_after_s for _ in range(3)]

    bench = Bench([UNREACHABLE] * 9)
    assert run(main())[-1] == 5


# Skipping


def test_candidates_that_cannot_serve_are_passed_over() -> None:
    bench = Bench([Answer()], left_out={"a/one": "tools"})
    run(bench.dispatch())
    assert bench.called == ["b/two"]


def test_if_none_can_serve_nobody_is_called() -> None:
    bench = Bench(left_out=dict.fromkeys(("a/one", "b/two", "c/three"), "images"))
    assert isinstance(run(bench.error()), NoCapableCandidate)
    assert bench.called == []


def test_a_candidate_that_is_closed_off_is_passed_over() -> None:
    async def main() -> None:
        open_breaker(bench, "a/one")
        await bench.dispatch()

    bench = Bench([Answer()])
    run(main())
    assert bench.called == ["b/two"]


def test_if_all_are_closed_off_nobody_is_called() -> None:
    """F44"""

    async def main() -> HttpError:
        for model in ("a/one", "b/two", "c/three"):
            open_breaker(bench, model)
        await asyncio.sleep(100)
        return await bench.error()

    bench = Bench()
    error = run(main())
    assert isinstance(error, NoCandidate)
    assert (error.status, error.retry_after_s) == (503, 200)
    assert bench.called == []


def open_breaker(bench: Bench, model: str) -> None:
    for _ in range(bench.settings.breaker.failures):
        permit = bench.breakers.admit(model, "req_0")
        assert isinstance(permit, Permit)
        bench.breakers.failed(permit, Failure(C.UPSTREAM_5XX, "broke"))


# The chain's deadline


def test_no_further_candidate_is_tried_behind_the_chains_deadline() -> None:
    late = Answer(status=500, headers=JSON, steps=[END], delay_s=40)
    bench = Bench([late], chain_s=70, first_event_s=60)
    run(bench.error())
    assert bench.called == ["a/one", "b/two"]
    assert bench.upstream.at == [0, 40]


def test_the_chains_deadline_cuts_a_stream_that_has_not_begun() -> None:
    bench = Bench([SILENT], chain_s=90, first_event_s=60)
    error = run(bench.error())
    assert bench.upstream.at == [0, 60]
    assert bench.request.total_ms == 90_000
    assert [a.total_ms for a in bench.attempts] == [60_000, 30_000]
    assert (error.status, error.type) == (504, "upstream_timeout")


def test_a_plain_answer_may_take_longer_than_the_chain() -> None:
    """The chain's deadline only keeps further candidates from being tried."""
    slow = Answer(headers=JSON, steps=PLAIN.steps, delay_s=300)
    bench = Bench([slow], is_stream=False, chain_s=90, first_event_s=60)
    run(bench.dispatch())
    assert bench.client.is_ended
    bench = Bench([Answer(status=500, headers=JSON, steps=[END], delay_s=300)], is_stream=False)
    run(bench.error())
    assert bench.called == ["a/one"]


# Keep-alive


class Early(Bench):
    """The keep-alive opens the response while the first candidate is silent."""

    async def dispatch(self) -> Any:
        walk = asyncio.ensure_future(super().dispatch())
        await asyncio.sleep(20)
        await self.client.open_early()
        return await walk


def test_behind_our_own_keep_alive_another_candidate_may_still_answer() -> None:
    """F18"""
    bench = Early([SILENT, Answer()])
    run(bench.dispatch())
    assert bench.client.headers == {
        "x-router-request-id": "req_1",
        "x-router-category": "code",
        "x-router-classifier": "keywords",
    }
    assert bench.client.body == WHOLE
    assert bench.client.keep_alive_headers is None


def test_behind_our_own_keep_alive_the_final_error_is_the_one_event() -> None:
    bench = Early([SILENT])
    error = run(bench.cut())
    assert error is not None
    assert (error["error"]["code"], error["error"]["type"]) == (504, "upstream_timeout")
    assert bench.client.body == b""
    assert (bench.request.outcome, bench.request.http_status) == ("failed", 200)
    assert bench.request.error_class == "upstream_timeout"
    assert bench.client.keep_alive_headers is None


def test_a_plain_request_gets_no_keep_alive() -> None:
    bench = Bench([PLAIN], is_stream=False)

    async def main() -> None:
        walk = asyncio.ensure_future(bench.dispatch())
        await asyncio.sleep(0)
        assert bench.client.keep_alive_headers is None
        await walk

    run(main())


# Clients that leave, and a router that does


def cancelled(bench: Bench, at_s: float, *, is_cut: bool) -> BaseException | None:
    """Cancel the walk at some time; return what it raised."""

    async def main() -> BaseException | None:
        walk = asyncio.ensure_future(bench.dispatch())
        await asyncio.sleep(at_s)
        assert bench.exchange is not None
        bench.exchange.is_cut = is_cut
        walk.cancel()
        await asyncio.wait((walk,))
        return asyncio.CancelledError() if walk.cancelled() else walk.exception()

    return run(main())


BEGUN: list[Step] = [content("Hello"), 1000.0]


@pytest.mark.parametrize("steps", [[], BEGUN], ids=["before the commit", "after it"])
def test_a_client_that_leaves_cancels_the_call_and_says_nothing_about_the_model(
    steps: list[Step],
) -> None:
    """F47, F48"""
    answer = Answer(steps=steps)
    bench = Bench([answer])
    assert isinstance(cancelled(bench, 5, is_cut=False), asyncio.CancelledError)
    assert answer.connection.is_aborted
    [attempt] = bench.attempts
    assert (attempt.outcome, attempt.error_class) == ("abandoned", "client_gone")
    assert (attempt.cost.source, attempt.generation_id) == (
        "unknown",
        ID if steps else "gen-header",
    )
    assert set(bench.states.values()) == {"closed"}
    assert bench.called == ["a/one"]


def test_a_client_that_is_gone_at_the_next_write_is_the_same() -> None:
    """F48"""
    answer = Answer(steps=[content("a"), 1.0, content("b"), 1000.0])
    bench = Bench([answer])
    bench.client.leaves_after = 1
    with pytest.raises(ClientGone):
        run(bench.dispatch())
    assert answer.connection.is_aborted
    assert bench.attempts[0].outcome == "abandoned"


def test_a_client_that_leaves_with_the_last_byte_had_its_answer() -> None:
    """F49: the outcome was journaled before the bytes that end the answer were written."""
    bench = Bench([Answer(steps=[content("a"), 1.0, finish() + usage() + DONE, END])])
    bench.client.leaves_after = 1
    with pytest.raises(ClientGone):
        run(bench.dispatch())
    assert bench.attempts[0].outcome == "completed"
    assert bench.request.outcome == "completed"


@pytest.mark.parametrize(
    ("is_cut", "ended"),
    [(False, ("abandoned", "client_gone")), (True, ("truncated", "draining"))],
    ids=["client left", "router goes"],
)
def test_a_whole_answer_that_was_not_taken_is_corrected(
    is_cut: bool, ended: tuple[str, str]
) -> None:
    """F51: megabytes of it may never have left us; the call itself had answered."""
    bench = Bench([PLAIN], is_stream=False)
    bench.client.leaves_after = 0

    async def main() -> None:
        context = bench.context()
        context.exchange.is_cut = is_cut
        with pytest.raises(ClientGone):
            await dispatch(context, bench.chain)

    run(main())
    first, corrected = bench.journal.all(RequestFinished)
    assert (first.outcome, corrected.http_status) == ("completed", 200)
    assert (corrected.outcome, corrected.error_class) == ended
    assert corrected.cost == UNKNOWN_COST, "which unsays nothing"
    assert bench.attempts[0].outcome == "completed"


def test_a_router_that_goes_answers_what_has_not_begun_with_a_503() -> None:
    """F67"""
    bench = Bench([SILENT, Answer()])
    error = cancelled(bench, 5, is_cut=True)
    assert isinstance(error, Unavailable)
    assert str(error) == "The router is shutting down."
    assert bench.attempts[0].error_class == "draining"
    assert bench.called == ["a/one"]
    assert set(bench.states.values()) == {"closed"}


def test_a_router_that_goes_cuts_what_has_begun_and_says_so() -> None:
    """F67"""
    bench = Bench([Answer(steps=BEGUN)])
    assert isinstance(cancelled(bench, 5, is_cut=True), ResponseCut)
    assert bench.client.body == content("Hello")
    assert bench.client.error == {
        "error": {"message": "The router is shutting down.", "code": 502, "type": "server_draining"}
    }
    assert (bench.request.outcome, bench.request.error_class) == ("truncated", "draining")
    assert set(bench.states.values()) == {"closed"}
