import pytest

from llm_router.ledger.entry import BreakerChanged
from llm_router.routing.breaker import Breakers
from llm_router.routing.failures import FailureClass
from llm_router.routing.permits import Permit
from tests.fakes.clock import Clock
from tests.routing.calls import (
    LEASE_S,
    MODEL,
    OPEN_S,
    C,
    admit,
    fail,
    fail_once,
    moves,
    refuse,
    trip,
    view,
)


def test_one_probe_comes_after_the_wait_and_no_other(breakers: Breakers, clock: Clock) -> None:
    """F83"""
    trip(breakers)
    clock.pass_s(OPEN_S - 0.001)
    refuse(breakers)
    clock.pass_s(0.001)
    admitted = [breakers.admit(MODEL, f"r{n}") for n in range(1000)]
    permits = [each for each in admitted if isinstance(each, Permit)]
    assert [permit.request_id for permit in permits] == ["r0"]
    assert permits[0].is_probe
    assert refuse(breakers).gate == "breaker"
    assert refuse(breakers).retry_after_s == 5.0


def test_a_herd_that_fails_together_trips_once(
    breakers: Breakers, changes: list[BreakerChanged]
) -> None:
    """F82"""
    permits = [admit(breakers) for _ in range(1000)]
    for permit in permits:
        breakers.failed(permit, fail(C.UPSTREAM_5XX))
    assert moves(changes) == [(MODEL, "closed", "open")]


def test_a_probe_that_succeeds_closes_the_breaker(
    breakers: Breakers, clock: Clock, changes: list[BreakerChanged]
) -> None:
    trip(breakers)
    clock.pass_s(OPEN_S)
    breakers.succeeded(admit(breakers, request_id="probe"))
    probing, closed = changes[-2:]
    assert moves(changes)[1:] == [(MODEL, "open", "half_open"), (MODEL, "half_open", "closed")]
    assert probing.until_boot_s == clock.now + LEASE_S
    assert closed.request_id == "probe"
    assert closed.until is None
    assert not admit(breakers).is_probe
    assert view(breakers).is_clear


def test_a_probe_that_fails_opens_it_for_the_whole_wait(breakers: Breakers, clock: Clock) -> None:
    trip(breakers)
    for _ in range(3):
        clock.pass_s(OPEN_S)
        fail_once(breakers)
        assert refuse(breakers).retry_after_s == OPEN_S
    assert "the probe failed" in refuse(breakers).reason


@pytest.mark.parametrize("kind", [None, C.REQUEST, C.CLIENT_GONE, C.TRANSPORT])
def test_a_probe_that_says_nothing_makes_room_for_the_next(
    breakers: Breakers, clock: Clock, kind: FailureClass | None
) -> None:
    trip(breakers)
    clock.pass_s(OPEN_S)
    probe = admit(breakers)
    if kind is None:
        breakers.neutral(probe)
    else:
        breakers.failed(probe, fail(kind))
    assert view(breakers).state == "open"
    assert breakers.peek(MODEL) is None
    assert admit(breakers).is_probe


def test_a_lost_probe_is_replaced_when_its_lease_ends(
    breakers: Breakers, clock: Clock, changes: list[BreakerChanged]
) -> None:
    """F72"""
    trip(breakers)
    clock.pass_s(OPEN_S)
    lost = admit(breakers)
    clock.pass_s(LEASE_S - 0.001)
    refuse(breakers)
    clock.pass_s(0.001)
    assert view(breakers).state == "open"
    second = admit(breakers)
    assert second.is_probe
    assert [c.reason for c in changes[-2:]] == ["the probe was lost", "one probe after the wait"]
    for late in (breakers.succeeded, breakers.neutral):
        late(lost)
        assert view(breakers).state == "half_open"


@pytest.mark.parametrize("ending", ["succeeded", "failed", "neutral"])
def test_a_probe_that_reports_after_its_lease_is_not_believed(
    breakers: Breakers, clock: Clock, ending: str
) -> None:
    trip(breakers)
    clock.pass_s(OPEN_S)
    probe = admit(breakers)
    clock.pass_s(LEASE_S)
    if ending == "failed":
        breakers.failed(probe, fail(C.UPSTREAM_5XX))
    else:
        getattr(breakers, ending)(probe)
    assert view(breakers).reason == "the probe was lost"
    assert admit(breakers).is_probe


def test_a_probe_that_streams_on_keeps_its_lease(breakers: Breakers, clock: Clock) -> None:
    trip(breakers)
    clock.pass_s(OPEN_S)
    probe = admit(breakers)
    clock.pass_s(60)
    breakers.answered(probe)
    clock.pass_s(1700)
    refuse(breakers)
    breakers.succeeded(probe)
    assert view(breakers).state == "closed"


def test_an_answer_never_shortens_the_lease(breakers: Breakers, clock: Clock) -> None:
    trip(breakers)
    clock.pass_s(OPEN_S)
    probe = admit(breakers)
    breakers.answered(probe, lease_s=1)
    clock.pass_s(LEASE_S - 1)
    assert view(breakers).state == "half_open"
    clock.pass_s(1)
    assert view(breakers).state == "open"
