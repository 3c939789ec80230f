import pytest

from llm_router.ledger.entry import BreakerChanged
from llm_router.routing.breaker import Breakers
from llm_router.routing.gates import ACCOUNT, ACCOUNT_LIMITS, RATE
from llm_router.routing.permits import Permit, Refusal
from tests.fakes.clock import Clock
from tests.routing.calls import (
    MODEL,
    OPEN_S,
    OTHER,
    C,
    admit,
    fail,
    refuse,
    states,
    trip,
    view,
)


@pytest.mark.parametrize(
    ("asked", "rests"), [(25.0, 25.0), (None, 5.0), (0.0, 1.0), (-9.0, 1.0), (1e9, 3600.0)]
)
def test_a_rate_limit_rests_the_model_and_leaves_it_closed(
    breakers: Breakers, clock: Clock, changes: list[BreakerChanged], asked: float, rests: float
) -> None:
    """F09"""
    breakers.failed(admit(breakers), fail(C.RATE_LIMITED, retry_after_s=asked))
    assert refuse(breakers) == Refusal("cooldown", rests, "rate (HTTP 503)")
    assert view(breakers).state == "closed"
    assert view(breakers).cooldown_until == clock.unix + rests
    assert states(changes) == [(MODEL, "closed", "closed")]
    assert changes[0].cooldown_boot_s == clock.now + rests
    admit(breakers, OTHER)
    clock.pass_s(rests)
    admit(breakers)
    assert view(breakers).is_clear


def test_rate_limits_never_open_the_breaker(breakers: Breakers, clock: Clock) -> None:
    for _ in range(10):
        breakers.failed(admit(breakers), fail(C.RATE_LIMITED, retry_after_s=1))
        clock.pass_s(1)
    assert view(breakers).state == "closed"
    assert view(breakers).failures == 0


def test_a_shorter_cool_down_does_not_shorten_a_longer_one(breakers: Breakers) -> None:
    first, second = admit(breakers), admit(breakers)
    breakers.failed(first, fail(C.RATE_LIMITED, retry_after_s=100))
    breakers.failed(second, fail(C.RATE_LIMITED, retry_after_s=1))
    assert refuse(breakers).retry_after_s == 100


def test_the_platforms_rate_limit_rests_every_model(breakers: Breakers, clock: Clock) -> None:
    breakers.failed(admit(breakers), fail(C.RATE_LIMITED, retry_after_s=30, rests_all=True))
    assert refuse(breakers, OTHER) == Refusal("cooldown", 30, "rate (HTTP 503)")
    clock.pass_s(30)
    assert not admit(breakers, OTHER).is_probe
    assert view(breakers, RATE).is_clear


def test_an_answer_to_the_request_that_met_the_platforms_limit_ends_the_rest_of_all_others(
    breakers: Breakers,
) -> None:
    """F09 F12: the model that was limited goes on resting."""
    earlier = admit(breakers, OTHER)
    breakers.failed(admit(breakers), fail(C.RATE_LIMITED, retry_after_s=30, rests_all=True))
    breakers.answered(earlier)  # it was let in before the limit, so it says nothing about it
    assert refuse(breakers, OTHER).retry_after_s == 30
    later = breakers.admit(OTHER, "req_1", past_rate=True)
    assert isinstance(later, Permit)
    assert refuse(breakers, OTHER).retry_after_s == 30  # nor does asking
    breakers.answered(later)
    assert not admit(breakers, OTHER).is_probe
    assert refuse(breakers).retry_after_s == 30


def test_a_success_says_by_itself_that_there_was_an_answer(
    breakers: Breakers, clock: Clock
) -> None:
    """What came whole is not announced first: the probes and the platform's rest end with it."""
    breakers.failed(admit(breakers), fail(C.AUTH))
    clock.pass_s(ACCOUNT_LIMITS.first_wait_s)
    breakers.succeeded(admit(breakers))
    assert view(breakers, ACCOUNT).is_clear
    breakers.failed(admit(breakers), fail(C.RATE_LIMITED, retry_after_s=30, rests_all=True))
    past = breakers.admit(OTHER, "req_1", past_rate=True)
    assert isinstance(past, Permit)
    breakers.succeeded(past)
    assert view(breakers, RATE).is_clear


def test_the_request_that_met_the_platforms_limit_gets_past_no_other_gate(
    breakers: Breakers,
) -> None:
    """F09"""
    permits = [admit(breakers) for _ in range(4)]
    breakers.failed(permits[0], fail(C.RATE_LIMITED, retry_after_s=30, rests_all=True))
    for permit in permits[1:]:
        breakers.failed(permit, fail(C.TRANSPORT))
    refusal = breakers.admit(OTHER, "req_1", past_rate=True)
    assert isinstance(refusal, Refusal)
    assert refusal.gate == "transport"


def test_a_model_that_is_gone_rests_for_ten_minutes(breakers: Breakers) -> None:
    """F14"""
    breakers.failed(admit(breakers), fail(C.MODEL_GONE, retry_after_s=1))
    assert refuse(breakers) == Refusal("cooldown", 600, "model_gone (HTTP 503)")
    assert view(breakers).state == "closed"


def test_a_probe_that_is_rate_limited_waits_for_the_cool_down_only(
    breakers: Breakers, clock: Clock
) -> None:
    trip(breakers)
    clock.pass_s(OPEN_S)
    breakers.failed(admit(breakers), fail(C.RATE_LIMITED, retry_after_s=7))
    assert refuse(breakers).gate == "cooldown"
    clock.pass_s(7)
    assert admit(breakers).is_probe


def test_the_longest_of_several_waits_is_named(breakers: Breakers) -> None:
    resting = admit(breakers)
    trip(breakers)
    breakers.failed(resting, fail(C.RATE_LIMITED, retry_after_s=900))
    assert refuse(breakers).gate == "breaker"
    assert refuse(breakers).retry_after_s == 900
