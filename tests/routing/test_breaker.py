import itertools

import pytest

from llm_router.ledger.entry import BreakerChanged
from llm_router.routing import model_gates as module
from llm_router.routing.breaker import Breakers
from llm_router.routing.failures import FailureClass
from llm_router.routing.permits import Permit, Refusal
from tests.fakes.clock import Clock
from tests.routing.calls import (
    MODEL,
    OPEN_S,
    OTHER,
    YEAR_S,
    C,
    admit,
    fail,
    fail_once,
    make,
    moves,
    refuse,
    trip,
    view,
)

# What neither counts, nor cools, nor is the account's.
NEUTRAL = [
    kind
    for kind in C
    if (kind.rule.counts, kind.rule.cools, kind.rule.closes_account_s)
    == ("nothing", "nothing", None)
]


def test_three_failures_in_a_row_open_the_breaker(
    breakers: Breakers, clock: Clock, changes: list[BreakerChanged]
) -> None:
    """F44"""
    trip(breakers)
    assert refuse(breakers) == Refusal(
        "breaker", OPEN_S, "3 failures in a row, the last: upstream_5xx (HTTP 503)"
    )
    *counted, change = changes
    assert [(c.from_state, c.to_state, c.failures) for c in counted] == [
        ("closed", "closed", 1),
        ("closed", "closed", 2),
    ]
    assert change == BreakerChanged(
        subject=MODEL,
        at=clock.unix,
        from_state="closed",
        to_state="open",
        reason="3 failures in a row, the last: upstream_5xx (HTTP 503)",
        request_id="r",
        until=clock.unix + OPEN_S,
        until_boot_s=clock.now + OPEN_S,
        cooldown_until=None,
        cooldown_boot_s=None,
        boot_id="boot-1",
        failures=3,
        wait_s=OPEN_S,
        stamp=counted[-1].stamp + 1,
    )
    admit(breakers, OTHER)


def test_an_upstream_that_fails_now_and_then_stays_in_use(
    breakers: Breakers, changes: list[BreakerChanged]
) -> None:
    """F45"""
    for _ in range(10):
        fail_once(breakers)
        fail_once(breakers)
        breakers.succeeded(admit(breakers))
    assert view(breakers).state == "closed"
    assert moves(changes) == []
    assert changes[-1].failures == 0


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_order_in_which_attempts_complete_does_not_matter(
    clock: Clock, order: tuple[int, ...]
) -> None:
    breakers = make(clock, [], failures=4)
    permits = [admit(breakers) for _ in range(4)]
    for position in order:
        if position == 1:
            breakers.succeeded(permits[position])
        else:
            breakers.failed(permits[position], fail(C.UPSTREAM_5XX))
    assert view(breakers).failures == 2


def test_a_long_stream_that_ends_late_does_not_hide_an_outage(breakers: Breakers) -> None:
    stream = admit(breakers)
    fail_once(breakers)
    fail_once(breakers)
    breakers.succeeded(stream)
    fail_once(breakers)
    assert view(breakers).state == "open"


def test_a_success_from_before_the_trip_closes_nothing(breakers: Breakers, clock: Clock) -> None:
    early, late = admit(breakers), admit(breakers)
    trip(breakers)
    breakers.succeeded(early)
    assert view(breakers).state == "open"
    clock.pass_s(OPEN_S)
    admit(breakers)
    breakers.succeeded(late)
    assert view(breakers).state == "half_open"


def test_a_failure_from_before_the_recovery_does_not_count(
    breakers: Breakers, clock: Clock
) -> None:
    early = [admit(breakers) for _ in range(3)]
    trip(breakers)
    clock.pass_s(OPEN_S)
    breakers.succeeded(admit(breakers))
    for permit in early:
        breakers.failed(permit, fail(C.UPSTREAM_5XX))
    assert view(breakers).failures == 0


@pytest.mark.parametrize("kind", NEUTRAL)
def test_neutral_failures_change_nothing(
    breakers: Breakers, changes: list[BreakerChanged], kind: FailureClass
) -> None:
    """F13, F47"""
    fail_once(breakers)
    fail_once(breakers)
    for _ in range(10):
        fail_once(breakers, kind)
        breakers.neutral(admit(breakers))
    assert len(changes) == 2
    assert view(breakers).failures == 2


@pytest.mark.parametrize("kind", [k for k in C if k.rule.counts == "model"])
def test_every_counted_failure_counts(breakers: Breakers, kind: FailureClass) -> None:
    trip(breakers, kind)
    assert view(breakers).state == "open"


def test_a_permit_is_settled_once(breakers: Breakers) -> None:
    permit = admit(breakers)
    for _ in range(5):
        breakers.failed(permit, fail(C.UPSTREAM_5XX))
    assert view(breakers).failures == 1
    breakers.succeeded(permit)
    breakers.neutral(permit)
    breakers.answered(permit)
    assert view(breakers).failures == 1


def test_the_threshold_is_a_setting(clock: Clock) -> None:
    breakers = make(clock, [], failures=1)
    fail_once(breakers)
    assert refuse(breakers).reason == "upstream_5xx (HTTP 503)"


# Clocks


@pytest.mark.parametrize("jump", [-YEAR_S, YEAR_S])
def test_a_jump_of_the_wall_clock_changes_nothing(
    breakers: Breakers, clock: Clock, jump: float
) -> None:
    """F77"""
    trip(breakers)
    clock.unix += jump
    assert refuse(breakers).retry_after_s == OPEN_S
    assert view(breakers).until == clock.unix + OPEN_S
    clock.pass_s(OPEN_S)
    assert admit(breakers).is_probe


def test_suspended_time_counts(breakers: Breakers, clock: Clock) -> None:
    """F78: the monotonic clock counts it, whatever wall time does meanwhile."""
    trip(breakers)
    clock.now += OPEN_S
    assert admit(breakers).is_probe


def test_with_everything_failing_upstream_sees_one_probe_per_period(
    breakers: Breakers, clock: Clock
) -> None:
    trip(breakers)
    calls = 0
    for _ in range(3600):
        clock.pass_s(1)
        permit = breakers.admit(MODEL, "r")
        if isinstance(permit, Permit):
            calls += 1
            breakers.failed(permit, fail(C.STALL_FIRST))
    assert calls == 3600 / OPEN_S


def test_a_permit_outlives_the_memory_of_its_model(
    breakers: Breakers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_MODELS", 8)
    permit = admit(breakers)
    for number in range(20):
        admit(breakers, f"vendor/{number}")
    breakers.failed(permit, fail(C.UPSTREAM_5XX))
    assert view(breakers).failures == 1


def test_nothing_is_reported_while_nothing_changes(
    breakers: Breakers, changes: list[BreakerChanged]
) -> None:
    for _ in range(10):
        permit = admit(breakers)
        breakers.answered(permit)
        breakers.succeeded(permit)
    assert changes == []
