import itertools

import pytest

from llm_router.ledger.entry import BreakerChanged
from llm_router.routing import model_gates as module
from llm_router.routing.breaker import Breakers
from llm_router.routing.failures import FailureClass
from llm_router.routing.gates import ACCOUNT, ACCOUNT_LIMITS, RATE, TRANSPORT
from llm_router.routing.permits import Permit, Refusal
from tests.fakes.clock import Clock
from tests.routing.calls import (
    LEASE_S,
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

# What neither counts, nor cools, nor is the account's.
NEUTRAL = [
    kind
    for kind in C
    if (kind.rule.counts, kind.rule.cools, kind.rule.closes_account_s)
    == ("nothing", "nothing", None)
]


# The model's breaker


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


# The probe


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


# Cool-downs


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


# The transport


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


# The account


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
