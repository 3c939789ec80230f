"""How one attempt is settled, whatever becomes of it."""

import pytest

from llm_router.errors import UpstreamError
from llm_router.ledger.cost import REFUSED_COST, UNKNOWN_COST, Cost
from llm_router.proxy.call import Call, before_answer, is_refusal, was_never_sent
from llm_router.proxy.facts import NO_FACTS, Facts
from llm_router.routing.failures import Failure, FailureClass
from llm_router.routing.permits import Permit
from tests.fakes.loop import run
from tests.proxy.bench import END, JSON, Answer, Bench

C = FailureClass
BROKEN = Failure(C.UPSTREAM_5XX, "broke", 503)


class Bare(Call):
    """A call that says what a test lets it say."""

    known = NO_FACTS

    def facts(self) -> Facts:
        return self.known


def call_on(bench: Bench) -> Bare:
    context = bench.context()
    permit = context.breakers.admit("a/one", "req_1")
    assert isinstance(permit, Permit)
    return Bare(context, "a/one", permit)


SETTLEMENTS = {
    "completed": lambda call: call.completed(NO_FACTS),
    "failed": lambda call: call.failed(BROKEN),
    "broke off": lambda call: call.broke_off(BROKEN),
    "abandoned": lambda call: call.abandoned(),
    "closed": lambda call: call.close(),
}
OUTCOMES = {
    "completed": "completed",
    "failed": "failed",
    "broke off": "truncated",
    "abandoned": "abandoned",
    "closed": "failed",
}


@pytest.mark.parametrize("second", SETTLEMENTS)
@pytest.mark.parametrize("first", SETTLEMENTS)
def test_the_first_settlement_counts_and_the_others_change_nothing(first: str, second: str) -> None:
    async def main() -> None:
        call = call_on(bench)
        SETTLEMENTS[first](call)
        assert call.permit.is_settled
        SETTLEMENTS[second](call)
        call.close()
        call.context.exchange.finish("failed", 500, "internal")

    bench = Bench()
    run(main())
    [attempt] = bench.attempts
    assert attempt.outcome == OUTCOMES[first]


def test_what_is_owed_at_the_end_is_a_failure_of_ours() -> None:
    async def main() -> None:
        call = call_on(bench)
        call.close()
        call.context.exchange.finish("failed", 500, "internal")

    bench = Bench()
    run(main())
    [attempt] = bench.attempts
    assert (attempt.error_class, attempt.cost) == ("local", UNKNOWN_COST)


def test_a_cost_that_the_answer_named_goes_before_ours() -> None:
    async def main() -> None:
        call = call_on(bench)
        call.known = Facts(cost=Cost(5, "provider"))
        call.failed(BROKEN, was_refused=True)
        call.context.exchange.finish("failed", 502, "upstream_failed")

    bench = Bench()
    run(main())
    assert bench.attempts[0].cost == Cost(5, "provider")


def test_the_generation_behind_a_failure_is_named() -> None:
    """F20: it may be charged, and then its cost is asked for."""
    bench = Bench([Answer(status=503, headers=JSON, steps=[END])], models=["a/one"])
    run(bench.error())
    assert bench.attempts[0].generation_id == "gen-header"


@pytest.mark.parametrize("kind", C, ids=lambda kind: kind.value)
def test_only_what_cannot_have_reached_a_provider_is_free_for_sure(kind: FailureClass) -> None:
    failure = Failure(kind, "x")
    assert was_never_sent(failure) == (
        kind in (C.TRANSPORT, C.CONNECT_TIMEOUT, C.LOCAL, C.STALE_CONNECTION)
    )
    bench = Bench([Answer(error=UpstreamError(kind, "x"))], models=["a/one"])

    async def main() -> None:
        await bench.error()

    run(main())
    expected = REFUSED_COST if was_never_sent(failure) else UNKNOWN_COST
    assert bench.attempts[0].cost == expected


def test_before_an_answer_a_reset_can_be_cured() -> None:
    assert before_answer(UpstreamError(C.RESET_MID, "x")).kind is C.PROTOCOL
    assert before_answer(UpstreamError(C.TRANSPORT, "x")).kind is C.TRANSPORT


@pytest.mark.parametrize(
    ("status", "expected"), [(None, False), (200, False), (202, False), (302, True), (429, True)]
)
def test_an_error_status_is_a_refusal(status: int | None, expected: bool) -> None:
    assert is_refusal(Failure(C.PROTOCOL, "x", status)) is expected


def test_a_huge_error_page_is_not_read_to_its_end() -> None:
    """T22"""
    flood = Answer(status=500, headers=JSON, steps=[b"x" * 100_000] * 9)
    bench = Bench([flood], models=["a/one"])
    assert run(bench.error()).type == "upstream_failed"
    assert bench.attempts[0].error_class == "response_too_large"
    assert flood.connection.is_aborted


def test_the_base_of_both_kinds_is_no_call_of_its_own() -> None:
    async def main() -> None:
        call = call_on(Bench())
        with pytest.raises(NotImplementedError):
            Call.facts(call)
        with pytest.raises(NotImplementedError):
            await Call.run(call, 0, ())
        call.close()

    run(main())
