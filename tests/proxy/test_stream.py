"""A streamed answer from its commit to its end, on a clock that jumps."""

import asyncio

import pytest

from llm_router.errors import UpstreamError
from llm_router.ledger.cost import Cost, Usage
from llm_router.ledger.entry import AttemptAnswered
from llm_router.routing.catalog import Catalog, read_models
from llm_router.routing.failures import FailureClass
from tests.fakes.loop import run
from tests.proxy.bench import END, HELLO, SSE, Answer, Bench, Step
from tests.proxy.chunks import (
    COMMENT,
    COST_NANOUSD,
    DONE,
    ID,
    ROLE,
    content,
    event,
    finish,
    usage,
)

C = FailureClass
RESET = UpstreamError(C.RESET_MID, "The connection broke.")
WHOLE = content("Hello") + finish() + usage() + DONE
PAID = Cost(COST_NANOUSD, "provider")


def answered(*steps: Step) -> Bench:
    """Return a bench behind one answer that the client was given."""
    bench = Bench([Answer(steps=steps)], models=["a/one"])
    run(bench.dispatch())
    return bench


def broken(*steps: Step, idle_s: float = 120, total_s: float = 1800) -> tuple[Bench, object]:
    """Return a bench behind one answer that broke off, and our last event."""
    bench = Bench([Answer(steps=steps)], models=["a/one"], idle_s=idle_s, total_s=total_s)
    return bench, run(bench.cut())


def last_event(kind: FailureClass, message: str) -> object:
    return {"error": {"message": message, "code": 502, "type": kind.value}}


# Passing on


def test_every_block_goes_out_at_once_and_unchanged() -> None:
    steps: list[Step] = [COMMENT, 1.0, ROLE, 1.0, content("a"), 1.0, COMMENT, 1.0, content("b")]
    bench = answered(*steps, 1.0, finish() + usage(), 1.0, DONE, END)
    assert bench.client.writes == [
        (COMMENT + ROLE + content("a"), 2),
        (COMMENT, 3),
        (content("b"), 4),
        (finish() + usage(), 5),
        (DONE, 6),
    ]
    assert bench.client.is_ended


def test_the_providers_facts_and_ours_are_headers() -> None:
    bench = Bench([Answer(headers={**SSE, "Set-Cookie": "a=b", "X-RateLimit-Limit": "9"})])
    run(bench.dispatch())
    assert bench.client.headers == {
        "X-Generation-Id": "gen-header",
        "X-RateLimit-Limit": "9",
        "x-router-request-id": "req_1",
        "x-router-category": "code",
        "x-router-classifier": "keywords",
        "x-router-attempts": "1",
        "x-router-model": "a/one",
    }


def test_the_row_says_what_the_answer_said() -> None:
    bench = answered(1.0, content("a"), 2.0, *HELLO)
    [attempt] = bench.attempts
    assert (attempt.outcome, attempt.http_status, attempt.error_class) == ("completed", 200, None)
    assert (attempt.usage, attempt.cost, attempt.generation_id) == (Usage(9, 10, 4, 3), PAID, ID)
    assert (attempt.time_to_first_chunk_ms, attempt.total_ms) == (1000, 3000)
    assert (bench.request.outcome, bench.request.cost) == ("completed", PAID)
    assert bench.request.time_to_first_chunk_ms == 1000
    assert bench.states["a/one"] == "closed"


def test_the_generation_is_named_before_its_first_event() -> None:
    """F69: then its cost can be asked for, whatever happens to this process."""
    bench = answered(*HELLO)
    assert bench.journal.all(AttemptAnswered) == [AttemptAnswered("req_1.1", "gen-header")]
    kinds = [type(entry).__name__ for entry in bench.journal.entries]
    assert kinds == [
        "RequestStarted",
        "RequestDecided",
        "AttemptStarted",
        "AttemptAnswered",
        "AttemptFinished",
        "RequestFinished",
    ]


@pytest.mark.parametrize(
    "steps",
    [
        [content("a"), 1.0, finish() + usage() + DONE, END],
        [content("a"), finish() + usage(), 1.0, DONE, END],
        [content("a") + finish() + usage() + DONE, END],
        [content("a"), finish(), END],
    ],
    ids=["in one", "alone", "all at once", "by the end"],
)
def test_the_outcome_is_journaled_before_the_bytes_that_end_the_answer(steps: list[Step]) -> None:
    """F69: a client that has the whole answer can rely on its row."""
    bench = answered(*steps)
    assert bench.client.booked[-1]
    assert not any(bench.client.booked[:-1])
    assert bench.client.writes[-1][0].endswith(DONE)


def test_the_outcome_is_journaled_before_a_broken_streams_client_is_told() -> None:
    bench, _ = broken(content("a"), 1.0, event(choices=[], error={"code": 502}), END)
    assert bench.client.booked == [False, True]


# Endings


def test_an_answer_ends_at_done_and_its_connection_may_take_a_moment_longer() -> None:
    """Its last chunk may still be on the way; then it can serve again."""
    answer = Answer(steps=[*HELLO[:-1], 0.5, END])
    bench = Bench([answer])
    run(settled(bench))
    assert bench.client.body == WHOLE
    assert not answer.connection.is_aborted


@pytest.mark.parametrize(
    "rest",
    [[content("more"), END], [0.1, content("more"), END], [5.0]],
    ids=["more at once", "more later", "silence"],
)
@pytest.mark.parametrize("gap", [[], [1.0]], ids=["all in one", "one by one"])
def test_a_connection_that_does_not_end_behind_done_is_dropped(
    rest: list[Step], gap: list[Step]
) -> None:
    """F25: what follows is not passed on, and its sender not trusted with another request."""
    answer = Answer(steps=[content("Hello"), *gap, finish() + usage() + DONE, *rest])
    bench = Bench([answer])
    run(settled(bench))
    assert bench.client.body == WHOLE
    assert answer.connection.is_aborted


async def settled(bench: Bench) -> None:
    await bench.dispatch()
    await asyncio.sleep(10)


@pytest.mark.parametrize("end", [END, RESET, 1000.0], ids=["end", "reset", "silence"])
@pytest.mark.parametrize("torn", [b"", b"data: {torn", DONE[:7]], ids=["whole", "torn", "DONE"])
def test_behind_a_finish_nothing_was_lost_but_the_formal_end(end: Step, torn: bytes) -> None:
    """F24"""
    bench = answered(content("a"), finish() + torn, end)
    assert bench.client.body == content("a") + finish() + DONE
    [attempt] = bench.attempts
    assert (attempt.outcome, attempt.note) == ("completed", "no [DONE]")
    assert bench.states["a/one"] == "closed"


def test_silence_behind_a_finish_ends_the_answer_when_its_time_is_up() -> None:
    """F21, F24: the usage may still come, so it is waited for as long as an event is."""
    bench = answered(content("a"), finish(), 119.0, usage(), 1000.0)
    assert bench.client.body == content("a") + finish() + usage() + DONE
    assert bench.request.total_ms == 239_000
    assert bench.attempts[0].cost.source == "provider"


def test_behind_a_finish_with_an_error_silence_is_no_end() -> None:
    """F26"""
    _, error = broken(content("a"), finish("error"), 1000.0)
    assert error == last_event(C.ERROR_MID, "The provider finished with an error.")


@pytest.mark.parametrize("end", [END, RESET, 1000.0], ids=["end", "reset", "silence"])
def test_a_finish_with_nothing_before_it_is_empty_however_it_ends(end: Step) -> None:
    """F24: the next candidate gets a chance, and the model is not blamed."""
    empty = Answer(steps=[ROLE + finish(), end])
    bench = Bench([empty, Answer(steps=[content("b"), finish() + DONE, END])])
    run(bench.dispatch())
    assert bench.client.body == content("b") + finish() + DONE
    assert [a.error_class for a in bench.attempts] == ["empty", None]
    assert bench.states["a/one"] == "closed"


@pytest.mark.parametrize("end", [END, RESET, 1000.0], ids=["end", "reset", "silence"])
def test_the_last_candidates_answer_of_nothing_but_a_finish_passes_however_it_ends(
    end: Step,
) -> None:
    """F24"""
    bench = answered(ROLE + finish(), end)
    assert bench.client.body == ROLE + finish() + DONE
    [attempt] = bench.attempts
    assert (attempt.outcome, attempt.note) == ("completed", "empty")
    assert bench.states["a/one"] == "closed"


def test_done_without_a_finish_is_noted() -> None:
    assert answered(content("a"), DONE, END).attempts[0].note == "no finish_reason"


def test_the_last_candidates_empty_answer_passes_as_it_is() -> None:
    steps: list[Step] = [COMMENT, ROLE + finish(), usage(completion_tokens=0) + DONE, END]
    bench = answered(*steps)
    assert bench.client.body == COMMENT + ROLE + finish() + usage(completion_tokens=0) + DONE
    [attempt] = bench.attempts
    assert (attempt.outcome, attempt.note, attempt.cost) == ("completed", "empty", PAID)


def test_an_empty_answer_passes_if_everybody_else_is_out_of_the_question() -> None:
    empty = Answer(steps=[ROLE + finish() + DONE, END])
    bench = Bench([empty], left_out={"b/two": "tools", "c/three": "tools"})
    run(bench.dispatch())
    assert bench.client.body == ROLE + finish() + DONE
    assert bench.client.is_ended


def test_without_a_cost_it_is_computed_from_the_list_price_of_what_served() -> None:
    """F38, F39"""
    price = {"prompt": "0.000001", "completion": "0.000002"}
    dear = {"prompt": "1", "completion": "1"}
    listed = [
        {"id": "a/one", "pricing": dear},
        {"id": "x/served", "canonical_slug": "x/served-20260101", "pricing": price},
    ]
    catalog = Catalog(read_models({"data": listed}))
    last = event(model="x/served-20260101", choices=[], usage={"prompt_tokens": 9,
                 "completion_tokens": 10})  # fmt: skip
    bench = Bench([Answer(steps=[content("a"), finish(), last, DONE, END])], catalog=catalog)
    run(bench.dispatch())
    assert bench.attempts[0].cost == Cost(29_000, "computed")
    unknown = Bench([Answer(steps=[content("a"), finish(), DONE, END])], catalog=catalog)
    run(unknown.dispatch())
    assert unknown.attempts[0].cost == Cost(None, "unknown")


# Breaking off


@pytest.mark.parametrize(
    ("steps", "kind", "message"),
    [
        ([RESET], C.RESET_MID, "The connection broke."),
        ([END], C.TRUNCATED, "The provider's stream ended without a finish."),
        ([b"data: {oh\n\n"], C.TRUNCATED, "The provider sent an event that is not JSON."),
        ([finish("error"), DONE], C.ERROR_MID, "The provider finished with an error."),
        ([b"data: {torn", RESET], C.RESET_MID, "The connection broke."),
    ],
    ids=["reset", "end", "garbage", "finish error", "torn, then reset"],
)
def test_after_the_commit_a_failure_is_the_last_event(
    steps: list[Step], kind: FailureClass, message: str
) -> None:
    """F22, F23, F27"""
    bench, error = broken(content("a"), 1.0, *steps)
    assert error == last_event(kind, message)
    assert bench.client.body.startswith(content("a"))
    assert DONE not in bench.client.body
    assert not bench.client.is_ended
    [attempt] = bench.attempts
    assert (attempt.outcome, attempt.http_status, attempt.error_class) == (
        "truncated",
        200,
        kind.value,
    )
    assert attempt.cost == Cost(None, "unknown")
    assert (bench.request.outcome, bench.request.error_class) == ("truncated", kind.value)
    assert bench.called == ["a/one"]


def test_three_broken_streams_open_the_breaker() -> None:
    """F22, F23: a stream is no success at its first byte."""

    async def main() -> None:
        for _ in range(3):
            bench.journal.frames.clear()
            bench.client.headers = None
            await bench.cut()

    bench = Bench([Answer(steps=[content("a"), RESET])], models=["a/one"])
    run(main())
    assert bench.states["a/one"] == "open"


def test_the_providers_own_error_event_is_the_last_one() -> None:
    """F26"""
    bad = event(choices=[], error={"code": 502, "message": "gone"}, usage={"cost": 0.001})
    bench, error = broken(content("a"), 1.0, bad, 5.0, content("b"))
    assert error is None
    assert bench.client.body == content("a") + bad
    assert (bench.attempts[0].error_class, bench.attempts[0].cost) == (
        "error_mid",
        Cost(1_000_000, "provider"),
    )


def test_a_break_in_the_very_block_of_the_commit_passes_what_is_whole() -> None:
    bench, error = broken(ROLE + content("a") + b"data: {oh\n\n" + content("b"))
    assert error == last_event(C.TRUNCATED, "The provider sent an event that is not JSON.")
    assert bench.client.body == ROLE + content("a")
    assert bench.client.headers is not None
    assert bench.request.time_to_first_chunk_ms == 0


def test_a_break_that_comes_with_the_last_bytes_does_not_swallow_them() -> None:
    """F22"""
    bench, _ = broken(content("a"), content("b"), RESET)
    assert bench.client.body == content("a") + content("b")


# Deadlines


def test_silence_behind_the_commit_is_a_stall() -> None:
    """F21"""
    bench, error = broken(content("a"), 100.0, content("b"), idle_s=120)
    assert error == last_event(C.STALL_MID, "The provider stopped sending.")
    assert bench.client.body == content("a") + content("b")
    assert bench.request.total_ms == 220_000


def test_comments_do_not_put_off_the_idle_deadline() -> None:
    """F18, F21: they flow while nothing happens."""
    beats: list[Step] = [10.0, COMMENT]
    bench, error = broken(content("a"), *beats * 20, idle_s=120)
    assert error == last_event(C.STALL_MID, "The provider stopped sending.")
    assert bench.request.total_ms == 120_000
    assert bench.client.body.count(COMMENT) in (11, 12)


def test_events_put_it_off_and_the_total_ends_all() -> None:
    """F30"""
    trickle: list[Step] = [10.0, content("x")]
    bench, error = broken(*trickle * 300, idle_s=120, total_s=1800)
    assert error == last_event(C.TOTAL_TIMEOUT, "The answer took too long as a whole.")
    assert bench.request.total_ms == 1_800_000


def test_the_first_event_with_substance_has_a_deadline_that_comments_do_not_move() -> None:
    """F18"""
    beats: list[Step] = [10.0, COMMENT + ROLE]
    bench = Bench([Answer(steps=beats * 20)], models=["a/one"], first_event_s=60)
    assert run(bench.error()).type == "upstream_timeout"
    assert bench.attempts[0].error_class == "stall_first"
    assert bench.attempts[0].total_ms == 60_000


def test_a_client_that_reads_slowly_is_not_the_providers_stall() -> None:
    """F52"""
    bench = Bench([Answer(steps=[content("a"), 1.0, content("b"), 1.0, *HELLO])], idle_s=5)
    bench.client.slow_s = 100
    run(bench.dispatch())
    assert bench.attempts[0].outcome == "completed"
    assert bench.client.body == content("a") + content("b") + WHOLE
