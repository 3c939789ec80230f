import pytest

from llm_router.routing.breaker import Breakers
from llm_router.routing.failures import FailureClass
from llm_router.routing.gates import TRANSPORT
from tests.fakes.clock import Clock
from tests.routing.calls import (
    MODEL,
    OPEN_S,
    OTHER,
    C,
    admit,
    fail,
    fail_once,
    refuse,
    trip,
    view,
)


def test_an_unreachable_provider_is_not_held_against_the_models(
    breakers: Breakers, clock: Clock
) -> None:
    """F01"""
    for model in (MODEL, OTHER, "a/b"):
        fail_once(breakers, C.TRANSPORT, model=model)
    assert refuse(breakers).gate == "transport"
    assert refuse(breakers, "never/seen").retry_after_s == 5
    assert view(breakers).is_clear
    clock.pass_s(5)
    breakers.succeeded(admit(breakers))
    assert view(breakers, TRANSPORT).is_clear
    assert not admit(breakers).is_probe


def test_the_transports_wait_doubles_up_to_a_minute(breakers: Breakers, clock: Clock) -> None:
    trip(breakers, C.CONNECT_TIMEOUT)
    waits = []
    for _ in range(6):
        waits.append(refuse(breakers).retry_after_s)
        clock.pass_s(waits[-1])
        fail_once(breakers, C.TRANSPORT)
    assert waits == [5, 10, 20, 40, 60, 60]
    clock.pass_s(60)
    breakers.succeeded(admit(breakers))
    trip(breakers, C.TRANSPORT)
    assert refuse(breakers).retry_after_s == 5


def test_a_neutral_probe_does_not_double_the_wait(breakers: Breakers, clock: Clock) -> None:
    trip(breakers, C.TRANSPORT)
    clock.pass_s(5)
    breakers.neutral(admit(breakers))
    fail_once(breakers, C.TRANSPORT)
    assert refuse(breakers).retry_after_s == 10


@pytest.mark.parametrize("kind", [k for k in C if k.rule.is_answer and k is not C.MISCONFIGURED])
def test_any_answer_shows_that_the_transport_works(breakers: Breakers, kind: FailureClass) -> None:
    fail_once(breakers, C.TRANSPORT)
    fail_once(breakers, C.TRANSPORT)
    fail_once(breakers, kind, model=OTHER)
    assert view(breakers, TRANSPORT).failures == 0


@pytest.mark.parametrize("kind", [C.LOCAL, C.STALE_CONNECTION, C.CLIENT_GONE, C.DRAINING])
def test_what_is_no_answer_does_not(breakers: Breakers, kind: FailureClass) -> None:
    fail_once(breakers, C.TRANSPORT)
    fail_once(breakers, C.TRANSPORT)
    fail_once(breakers, kind)
    assert view(breakers, TRANSPORT).failures == 2


def test_a_connection_without_a_response_counts_on_both(breakers: Breakers) -> None:
    fail_once(breakers, C.NO_RESPONSE)
    assert view(breakers).failures == 1
    assert view(breakers, TRANSPORT).failures == 1


def test_redirects_count_against_the_transport(breakers: Breakers) -> None:
    trip(breakers, C.MISCONFIGURED)
    assert view(breakers, TRANSPORT).state == "open"
    assert view(breakers).failures == 0


def test_an_answer_frees_the_provider_before_its_stream_ends(
    breakers: Breakers, clock: Clock
) -> None:
    trip(breakers, C.TRANSPORT)
    clock.pass_s(5)
    stream = admit(breakers)
    assert refuse(breakers, OTHER).gate == "transport"
    breakers.answered(stream)
    admit(breakers, OTHER)


def test_a_refused_model_does_not_use_up_the_providers_probe(
    breakers: Breakers, clock: Clock
) -> None:
    permits = [admit(breakers) for _ in range(6)]
    for permit, kind in zip(permits, [C.STALL_MID] * 3 + [C.TRANSPORT] * 3, strict=True):
        breakers.failed(permit, fail(kind))
    clock.pass_s(5)
    assert refuse(breakers).gate == "breaker"
    assert view(breakers, TRANSPORT).state == "open"
    assert admit(breakers, OTHER).is_probe


def test_one_request_can_be_the_probe_of_several_gates(breakers: Breakers, clock: Clock) -> None:
    permits = [admit(breakers) for _ in range(6)]
    for permit, kind in zip(permits, [C.STALL_MID] * 3 + [C.TRANSPORT] * 3, strict=True):
        breakers.failed(permit, fail(kind))
    clock.pass_s(OPEN_S)
    breakers.succeeded(admit(breakers))
    assert all(view.is_clear for view in breakers.views())
