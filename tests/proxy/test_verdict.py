"""What a client is told, error by error."""

from typing import Any

import pytest

from llm_router.errors import (
    HttpError,
    NoCandidate,
    NoCapableCandidate,
    Unavailable,
    UpstreamAccount,
    UpstreamFailed,
    UpstreamRefused,
    UpstreamTimeout,
)
from llm_router.proxy.verdict import Fate, in_band_error, verdict
from llm_router.routing.chain import GONE, Candidate
from llm_router.routing.failures import Failure, FailureClass
from llm_router.routing.permits import GateName, Refusal

C = FailureClass
TIMEOUTS = (C.CONNECT_TIMEOUT, C.STALL_FIRST, C.TOTAL_TIMEOUT)
CURABLE = [kind for kind in C if kind.rule.falls_back]


def fate(number: int = 1, **what: Any) -> Fate:
    return Fate(Candidate(f"model-{number}", f"v/model-{number}"), **what)


def failed(kind: FailureClass, number: int = 1, **facts: Any) -> Fate:
    return fate(number, failure=Failure(kind, "Words for people.", **facts))


def refused(gate: GateName, retry_after_s: float, number: int = 1) -> Fate:
    return fate(number, refusal=Refusal(gate, retry_after_s, f"{gate} (HTTP 500)"))


def left_out(rule: str, number: int = 1) -> Fate:
    return fate(number, left_out=rule)


def told(fates: list[Fate]) -> tuple[type[HttpError], int, float | None, bool]:
    error = verdict(fates)
    return type(error), error.status, error.retry_after_s, error.is_final


# The whole chain failed


@pytest.mark.parametrize("kind", CURABLE, ids=lambda kind: kind.value)
def test_a_chain_that_failed_is_a_502_that_nobody_should_repeat(kind: FailureClass) -> None:
    """F01, F08: SDKs would multiply a chain that has been walked already."""
    fates = [failed(C.UPSTREAM_5XX, 1, http_status=503), failed(kind, 2)]
    assert told(fates) == (UpstreamFailed, 502, None, True)


def test_a_chain_that_nobody_may_try_again_says_for_how_long() -> None:
    for kind, status in ((C.TRANSPORT, 502), (C.STALL_FIRST, 504)):
        error = verdict([failed(kind)], shut_for_s=4.5)
        assert (error.status, error.retry_after_s, error.is_final) == (status, 4.5, True)


@pytest.mark.parametrize("kind", TIMEOUTS, ids=lambda kind: kind.value)
def test_it_is_a_504_only_if_every_attempt_timed_out(kind: FailureClass) -> None:
    """F02, F19"""
    assert told([failed(kind), failed(C.STALL_FIRST)]) == (UpstreamTimeout, 504, None, True)
    assert told([failed(C.PROTOCOL), failed(kind)])[:2] == (UpstreamFailed, 502)
    assert told([failed(kind), failed(C.RATE_LIMITED, retry_after_s=3)])[0] is UpstreamFailed


def test_candidates_that_were_never_asked_do_not_soften_a_timeout() -> None:
    fates = [left_out("tools"), refused("breaker", 30, 2), failed(C.STALL_FIRST, 3)]
    assert told(fates) == (UpstreamTimeout, 504, None, True)


def test_the_error_says_what_became_of_every_candidate() -> None:
    fates = [
        left_out("tools", 1),
        refused("breaker", 30, 2),
        failed(C.UPSTREAM_5XX, 3, http_status=503, upstream_message="secret prompt"),
        failed(C.TRANSPORT, 4),
    ]
    error = verdict(fates)
    assert error.metadata == {
        "candidates": [
            {"model": "v/model-1", "left_out": "tools"},
            {"model": "v/model-2", "skipped": "breaker (HTTP 500)"},
            {"model": "v/model-3", "error_class": "upstream_5xx", "http_status": 503},
            {"model": "v/model-4", "error_class": "transport"},
        ]
    }
    assert error.message == (
        "Every model that was tried failed (v/model-3: upstream_5xx, v/model-4: transport)."
    )
    assert "secret" not in str(error.body())


# Nobody may be asked now


def test_models_that_rest_after_failures_are_a_503_until_the_first_is_back() -> None:
    """F44"""
    fates = [refused("breaker", 300, 1), refused("breaker", 12.5, 2), refused("transport", 40, 3)]
    assert told(fates) == (NoCandidate, 503, 12.5, False)


def test_an_upstream_that_cannot_be_reached_is_called_that() -> None:
    """F01: no model is to blame."""
    error = verdict([refused("transport", 5, 1), left_out("tools", 2)])
    assert (error.status, error.type, error.retry_after_s) == (503, "no_candidate", 5)
    assert error.message == "OpenRouter cannot be reached for the moment."


def test_models_that_merely_cool_down_are_a_429_until_the_first_is_back() -> None:
    """F10"""
    fates = [refused("cooldown", 30, 1), failed(C.RATE_LIMITED, 2, retry_after_s=7)]
    assert told(fates) == (NoCandidate, 429, 7, False)
    assert verdict(fates).type == "no_candidate"


def test_a_limit_without_a_wait_is_the_default_cool_down() -> None:
    fates = [refused("cooldown", 30), failed(C.RATE_LIMITED)]
    assert told(fates) == (NoCandidate, 429, 5, False)


def test_one_open_breaker_among_cool_downs_is_a_503() -> None:
    assert told([refused("cooldown", 30), refused("breaker", 60)]) == (NoCandidate, 503, 30, False)


def test_one_failure_among_cool_downs_is_a_502() -> None:
    assert told([refused("cooldown", 30), failed(C.UPSTREAM_5XX)])[:2] == (UpstreamFailed, 502)


def test_a_chain_of_which_nothing_is_left_is_a_502_once_and_then_a_503() -> None:
    """F14"""
    fates = [left_out(GONE, 1), failed(C.MODEL_GONE, 2)]
    assert told(fates) == (UpstreamFailed, 502, None, True)
    resting = fate(2, refusal=Refusal("cooldown", 42, "model_gone (HTTP 404)"))
    assert told([left_out(GONE, 1), resting]) == (NoCandidate, 503, 42, True)
    assert told([left_out(GONE, 1), left_out(GONE, 2)]) == (NoCandidate, 503, 600, True)


def test_candidates_left_out_do_not_turn_a_rest_into_the_clients_fault() -> None:
    assert told([left_out("tools"), refused("breaker", 60)]) == (NoCandidate, 503, 60, False)


def test_a_chain_in_which_nobody_can_serve_says_which_rule_removed_whom() -> None:
    error = verdict([left_out("tools", 1), left_out("context: needs about 9 tokens, takes 8", 2)])
    assert isinstance(error, NoCapableCandidate)
    assert error.status == 400
    assert "v/model-1: tools; v/model-2: context: needs about 9 tokens, takes 8" in error.message
    assert error.metadata is not None
    assert [c["left_out"] for c in error.metadata["candidates"]] == [
        "tools",
        "context: needs about 9 tokens, takes 8",
    ]


# The account's fault


@pytest.mark.parametrize(
    ("failure", "wait_s"),
    [
        (Failure(C.AUTH, "x", 401), 60),
        (Failure(C.NO_CREDIT, "x", 402), 600),
        (Failure(C.NO_CREDIT, "x", 403, retry_after_s=90), 90),
    ],
    ids=["key", "credit", "budget that says when"],
)
def test_our_own_account_is_never_the_clients_401_or_402(failure: Failure, wait_s: float) -> None:
    """F11, F12: a client that sees 401 throws its own key away."""
    error = verdict([failed(C.UPSTREAM_5XX), fate(2, failure=failure)])
    assert told([fate(failure=failure)]) == (UpstreamAccount, 503, wait_s, True)
    assert isinstance(error, UpstreamAccount)
    assert error.metadata is None


def test_a_closed_account_gate_says_the_same_without_a_call() -> None:
    fates = [refused("account", 60, 1), refused("account", 45, 2), refused("breaker", 9, 3)]
    assert told(fates) == (UpstreamAccount, 503, 45, True)


# The request's fault


@pytest.mark.parametrize("kind", [C.REQUEST, C.POLICY], ids=lambda kind: kind.value)
def test_a_request_at_fault_gets_upstreams_words_and_nothing_else_of_it(kind: FailureClass) -> None:
    """F13, T41"""
    failure = Failure(
        kind,
        "the provider refused the request (HTTP 422)",
        422,
        upstream_message="max_tokens is too large",
        upstream_error_type="unprocessable",
        upstream_provider="Azure",
    )
    error = verdict([failed(C.RATE_LIMITED), fate(2, failure=failure)])
    assert isinstance(error, UpstreamRefused)
    assert error.body() == {
        "error": {
            "message": "max_tokens is too large",
            "code": 422,
            "type": "upstream_refused",
            "metadata": {"error_type": "unprocessable", "provider_name": "Azure"},
        }
    }
    assert (error.retry_after_s, error.is_final) == (None, True)


def test_what_nobody_who_was_asked_can_do_is_the_requests_fault() -> None:
    """A client whose `provider` field leaves nobody used to get a 502 that did not say so."""
    words = "No allowed providers are available for the selected model."
    incapable = failed(C.INCAPABLE, 1, http_status=404, upstream_message=words)
    error = verdict([incapable, left_out("tools", 2)])
    assert (type(error), error.status, error.message) == (UpstreamRefused, 404, words)
    assert error.is_final
    assert type(verdict([incapable, failed(C.UPSTREAM_5XX, 2)])) is UpstreamFailed
    assert type(verdict([incapable, refused("breaker", 60, 2)])) is UpstreamFailed


def test_a_request_at_fault_without_words_gets_ours() -> None:
    error = verdict([failed(C.REQUEST)])
    assert error.body() == {
        "error": {"message": "Words for people.", "code": 400, "type": "upstream_refused"}
    }


# The router's fault


@pytest.mark.parametrize("kind", [C.LOCAL, C.DRAINING], ids=lambda kind: kind.value)
def test_our_own_trouble_is_a_503_for_a_moment(kind: FailureClass) -> None:
    """F67, F75"""
    assert told([failed(C.UPSTREAM_5XX), failed(kind)]) == (Unavailable, 503, 5, False)
    assert verdict([failed(kind)]).message == "Words for people."


# After the commit


@pytest.mark.parametrize("kind", C, ids=lambda kind: kind.value)
def test_the_last_event_of_a_broken_stream_has_no_choices(kind: FailureClass) -> None:
    """F21, F22, F23: that is the shape which every client library takes for an error."""
    failure = Failure(kind, "The provider stopped sending.", 400, upstream_message="secret")
    word = "server_draining" if kind is C.DRAINING else kind.value
    assert in_band_error(failure) == {
        "error": {"message": "The provider stopped sending.", "code": 502, "type": word}
    }
