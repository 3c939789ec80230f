import itertools

import pytest

from llm_router.routing.breaker import Breakers
from llm_router.routing.failures import FailureClass
from llm_router.routing.gates import ACCOUNT
from llm_router.routing.permits import Refusal
from tests.fakes.clock import Clock
from tests.routing.calls import (
    OTHER,
    C,
    admit,
    fail,
    fail_once,
    refuse,
    view,
)


@pytest.mark.parametrize(
    ("kind", "wait_s", "advice"),
    [
        (C.AUTH, 60, "OpenRouter does not accept OPENROUTER_API_KEY"),
        (C.NO_CREDIT, 600, "the account at OpenRouter or its key has no credit left"),
    ],
)
def test_the_accounts_fault_stops_every_model_and_opens_none(
    breakers: Breakers, clock: Clock, kind: FailureClass, wait_s: float, advice: str
) -> None:
    """F11, F12"""
    fail_once(breakers, kind)
    why = f"{kind.value} (HTTP 503): {advice}"
    assert refuse(breakers, OTHER) == Refusal("account", wait_s, why)
    assert view(breakers).is_clear
    clock.pass_s(wait_s)
    probe = admit(breakers, OTHER)
    assert probe.is_probe
    assert refuse(breakers).gate == "account"
    breakers.failed(probe, fail(kind))
    assert refuse(breakers).retry_after_s == wait_s
    clock.pass_s(wait_s)
    breakers.succeeded(admit(breakers))
    assert view(breakers, ACCOUNT).is_clear


@pytest.mark.parametrize("is_probe", [False, True])
def test_an_error_event_after_a_200_still_closes_the_account(
    breakers: Breakers, clock: Clock, is_probe: bool
) -> None:
    """F17"""
    if is_probe:
        fail_once(breakers, C.AUTH)
        clock.pass_s(60)
    permit = admit(breakers)
    breakers.answered(permit)
    assert view(breakers, ACCOUNT).is_clear
    breakers.failed(permit, fail(C.NO_CREDIT))
    assert refuse(breakers).gate == "account"


def test_a_spent_budget_waits_for_its_reset(breakers: Breakers) -> None:
    breakers.failed(admit(breakers), fail(C.NO_CREDIT, retry_after_s=1800))
    assert refuse(breakers).retry_after_s == 1800


def test_a_failure_that_is_not_the_accounts_says_nothing_of_the_account(
    breakers: Breakers, clock: Clock
) -> None:
    fail_once(breakers, C.AUTH)
    clock.pass_s(60)
    fail_once(breakers, C.UPSTREAM_5XX)
    assert view(breakers, ACCOUNT).state == "open"
    assert admit(breakers).is_probe


def test_gates_are_asked_in_order(breakers: Breakers) -> None:
    permits = iter([admit(breakers) for _ in range(9)])
    limited = fail(C.RATE_LIMITED)
    platform = fail(C.RATE_LIMITED, rests_all=True)
    failures = [limited, *[fail(C.STALL_FIRST)] * 3, platform, *[fail(C.TRANSPORT)] * 3]
    gates = []
    for failure in (*failures, fail(C.AUTH)):
        breakers.failed(next(permits), failure)
        gates.append((refuse(breakers).gate, refuse(breakers).reason.split()[0]))
    assert [gate for gate, _ in itertools.groupby(gates)] == [
        ("cooldown", "rate"),
        ("breaker", "3"),
        ("cooldown", "rate"),
        ("transport", "3"),
        ("account", "auth"),
    ]
