import logging

import pytest

from llm_router.ledger.entry import BreakerChanged
from llm_router.routing import model_gates as module
from llm_router.routing.breaker import Breakers
from llm_router.routing.gates import ACCOUNT, RATE, TRANSPORT
from llm_router.routing.snapshot import StoredBreaker
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
    states,
    trip,
    view,
)

# Operators


def test_a_reset_clears_breaker_and_cool_down(
    breakers: Breakers, changes: list[BreakerChanged]
) -> None:
    in_flight = [admit(breakers) for _ in range(4)]
    trip(breakers)
    breakers.failed(in_flight.pop(), fail(C.RATE_LIMITED, retry_after_s=900))
    assert breakers.reset(MODEL)
    assert view(breakers).is_clear
    assert changes[-1].reason == "reset by an operator"
    assert (changes[-1].from_state, changes[-1].to_state) == ("open", "closed")
    assert changes[-1].cooldown_until is None
    for permit in in_flight:
        breakers.failed(permit, fail(C.UPSTREAM_5XX))
    assert view(breakers).failures == 0
    assert not admit(breakers).is_probe


def test_a_reset_ends_a_cool_down_alone(breakers: Breakers, changes: list[BreakerChanged]) -> None:
    fail_once(breakers, C.MODEL_GONE)
    breakers.reset(MODEL)
    assert changes[-1].cooldown_until is None
    assert not admit(breakers).is_probe


def test_a_reset_forgets_failures_that_have_not_tripped(
    breakers: Breakers, changes: list[BreakerChanged]
) -> None:
    in_flight = admit(breakers)
    fail_once(breakers)
    fail_once(breakers)
    assert breakers.reset(MODEL)
    breakers.failed(in_flight, fail(C.UPSTREAM_5XX))
    assert changes[-1].failures == 0
    fail_once(breakers)
    assert view(breakers).failures == 1
    assert moves(changes) == []


def test_a_reset_of_all_clears_models_and_gates(breakers: Breakers) -> None:
    stale = [admit(breakers) for _ in range(4)]
    trip(breakers, model=OTHER)
    for permit in stale[:3]:
        breakers.failed(permit, fail(C.TRANSPORT))
    breakers.failed(stale[3], fail(C.AUTH))
    assert breakers.reset("all")
    assert all(view.is_clear for view in breakers.views())


def test_a_gate_can_be_reset_alone(breakers: Breakers) -> None:
    fail_once(breakers, C.AUTH)
    assert breakers.reset(ACCOUNT)
    admit(breakers)


def test_a_model_never_seen_cannot_be_reset(breakers: Breakers) -> None:
    assert not breakers.reset("never/seen")
    assert breakers.peek("never/seen") is None
    assert [view.subject for view in breakers.views()] == [ACCOUNT, TRANSPORT, RATE]


# Restarts


def row_of(change: BreakerChanged) -> StoredBreaker:
    return StoredBreaker(
        subject=change.subject,
        state=change.to_state,  # type: ignore[arg-type]  # a str on the wire
        since=change.at,
        until=change.until,
        until_boot_s=change.until_boot_s,
        cooldown_until=change.cooldown_until,
        cooldown_boot_s=change.cooldown_boot_s,
        boot_id=change.boot_id,
        reason=change.reason,
        failures=change.failures,
        wait_s=change.wait_s,
    )


def restarted(
    clock: Clock, changes: list[BreakerChanged], boot_id: str | None = "boot-1"
) -> Breakers:
    breakers = make(clock, changes, boot_id)
    breakers.restore([row_of(change) for change in {c.subject: c for c in changes}.values()])
    return breakers


@pytest.mark.parametrize("jump", [0, YEAR_S, -YEAR_S])
def test_a_restart_keeps_exactly_the_remaining_time(
    breakers: Breakers, clock: Clock, changes: list[BreakerChanged], jump: float
) -> None:
    trip(breakers)
    since = clock.unix
    clock.pass_s(100)
    clock.unix += jump
    again = restarted(clock, changes)
    assert refuse(again).retry_after_s == OPEN_S - 100
    assert view(again).since == since
    assert view(again).reason == "3 failures in a row, the last: upstream_5xx (HTTP 503)"
    assert view(again).failures == 0
    clock.pass_s(OPEN_S - 100)
    assert admit(again).is_probe


@pytest.mark.parametrize(
    ("passed", "left"), [(100, 200), (400, 0), (-YEAR_S, 300), (YEAR_S, 0), (-1, 300)]
)
def test_after_a_reboot_wall_time_counts_within_bounds(
    breakers: Breakers,
    clock: Clock,
    changes: list[BreakerChanged],
    passed: float,
    left: float,
) -> None:
    trip(breakers)
    rebooted = Clock(now=3.0, unix=clock.unix + passed)
    again = restarted(rebooted, changes, "boot-2")
    if left:
        assert refuse(again).retry_after_s == pytest.approx(left)
    else:
        assert admit(again).is_probe


def test_without_a_boot_id_wall_time_counts(clock: Clock, changes: list[BreakerChanged]) -> None:
    trip(make(clock, changes, boot_id=None))
    again = restarted(Clock(now=1.0, unix=clock.unix + 50), changes, None)
    assert refuse(again).retry_after_s == OPEN_S - 50


def test_a_restart_keeps_gates_and_cool_downs(
    breakers: Breakers, clock: Clock, changes: list[BreakerChanged]
) -> None:
    permits = [admit(breakers) for _ in range(5)]
    breakers.failed(permits[0], fail(C.RATE_LIMITED, retry_after_s=40, rests_all=True))
    for permit in permits[1:4]:
        breakers.failed(permit, fail(C.TRANSPORT))
    breakers.failed(permits[4], fail(C.MODEL_GONE))
    again = restarted(clock, changes)
    assert view(again, TRANSPORT).state == "open"
    assert view(again, RATE).cooldown_until == clock.unix + 40
    assert view(again).cooldown_until == clock.unix + 600
    clock.pass_s(40)
    fail_once(again, C.TRANSPORT, model=OTHER)
    assert refuse(again, "x/y").retry_after_s == 10  # the doubling goes on where it stood


def test_a_restart_during_a_probe_lets_the_next_one_in(
    breakers: Breakers, clock: Clock, changes: list[BreakerChanged]
) -> None:
    trip(breakers)
    clock.pass_s(OPEN_S)
    admit(breakers)
    again = restarted(clock, changes)
    assert states(changes)[-1] == (MODEL, "half_open", "open")
    assert changes[-1].reason == "the probe was lost with its process"
    assert admit(again).is_probe


def test_failures_in_a_row_count_on_after_a_restart(
    breakers: Breakers, clock: Clock, changes: list[BreakerChanged]
) -> None:
    """F69 F71: a router that dies again and again still shuts a failing model out."""
    fail_once(breakers)
    for _ in range(2):
        fail_once(restarted(clock, changes))
    assert moves(changes) == [(MODEL, "closed", "open")]
    assert changes[-1].reason.startswith("3 failures in a row")


def test_a_success_ends_the_count_of_an_earlier_process(
    breakers: Breakers, clock: Clock, changes: list[BreakerChanged]
) -> None:
    fail_once(breakers)
    fail_once(breakers)
    again = restarted(clock, changes)
    again.succeeded(admit(again))
    assert view(again).failures == 0
    assert len(restarted(clock, changes).views()) == 3


def test_a_count_never_opens_a_breaker_by_itself(
    breakers: Breakers, clock: Clock, changes: list[BreakerChanged]
) -> None:
    """The threshold may have been lowered in between."""
    fail_once(breakers)
    fail_once(breakers)
    again = make(clock, changes, failures=1)
    again.restore([row_of(changes[-1])])
    admit(again)


def test_what_is_closed_or_over_is_not_taken_up(
    breakers: Breakers, clock: Clock, changes: list[BreakerChanged]
) -> None:
    breakers.failed(admit(breakers), fail(C.RATE_LIMITED, retry_after_s=5))
    clock.pass_s(5)
    assert len(restarted(clock, changes).views()) == 3


# Bounds and reports


def test_the_table_of_models_is_bounded_and_forgets_what_matters_least(
    breakers: Breakers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T23"""
    monkeypatch.setattr(module, "MAX_MODELS", 16)
    trip(breakers)
    breakers.failed(admit(breakers, OTHER), fail(C.MODEL_GONE))
    for number in range(200):
        breakers.succeeded(admit(breakers, f"vendor/{number}"))
        assert len(breakers.views()) <= 16 + 3
    assert view(breakers).state == "open"
    assert view(breakers, OTHER).cooldown_until is not None


def test_transitions_are_logged(breakers: Breakers, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        trip(breakers)
        breakers.reset(MODEL)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert f"breaker {MODEL}: closed -> open" in caplog.messages[0]
