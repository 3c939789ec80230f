"""A model that fails before the client has seen anything of it: the next one answers."""

import time
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import formatdate
from typing import Any

import pytest

from llm_router.demo.behaviour import HEADERS
from llm_router.demo.upstream import DemoUpstream
from tests.integration.client import Reply, chat
from tests.integration.conftest import UPSTREAM_KEY, Router, Start

GLM, AURORA, MINI = "z-ai/glm-5", "openrouter/aurora-alpha", "openai/gpt-4o-mini"
CODE = (GLM, AURORA, MINI)  # the chain of `code`, which these tests ask for
BOTH = (False, True)
NO_LONGER = {"first_event_s": 0.4}
REFUSED, UNKNOWN = (0, "computed"), (None, "unknown")


@dataclass(frozen=True)
class Fault:
    """How the first model fails, and what must come of it; `kinds`: streamed, plain, or both."""

    id: str
    how: dict[str, Any]
    error_class: str
    http_status: int | None
    cost: tuple[int | None, str] = REFUSED
    failures: int = 1  # counted by the model's breaker
    is_cool: bool = False
    kinds: tuple[bool, ...] = BOTH
    deadlines: dict[str, float] = field(default_factory=dict)


def _counted(status: int) -> Fault:
    kinds = BOTH if status in (500, 503) else (True,)
    return Fault(f"F08 {status}", {"status": status}, "upstream_5xx", status, kinds=kinds)


FAULTS = [
    *map(_counted, (408, 500, 502, 503, 504, 520, 524, 529)),
    Fault("F09 429", {"status": 429}, "rate", 429, failures=0, is_cool=True),
    Fault("F09 503 with Retry-After", {"status": 503, "retry_after": 9}, "rate", 503, failures=0,
          is_cool=True),
    Fault("F14 not found", {"status": 404}, "model_gone", 404, failures=0, is_cool=True),
    Fault("F14 not a model id", {"status": 400, "message": "x/y is not a valid model ID"},
          "model_gone", 400, failures=0, is_cool=True),
    Fault("F15 a 5xx inside a 200", {"status": 502, "via": "body"}, "upstream_5xx", 502),
    Fault("F15 a 429 inside a 200", {"status": 429, "via": "body"}, "rate", 429, failures=0,
          is_cool=True),
    Fault("F16 a page", {"html": True}, "protocol_pre", 200, UNKNOWN),
    Fault("F16 a page with 502", {"html": True, "status": 502}, "upstream_5xx", 502),
    Fault("F16 another content type", {"headers": {"Content-Type": "text/plain"}}, "protocol_pre",
          200, UNKNOWN),
    Fault("F16 JSON instead of a stream", {"json": True}, "protocol_pre", 200, UNKNOWN,
          kinds=(True,)),
    Fault("F17 an error first", {"status": 502, "via": "event"}, "upstream_5xx", 502,
          kinds=(True,)),
    Fault("F17 an error without choices first", {"status": 500, "via": "event", "choices": "none"},
          "upstream_5xx", 500, kinds=(True,)),
    Fault("F17 a rate limit first", {"status": 429, "via": "event"}, "rate", 429, failures=0,
          is_cool=True, kinds=(True,)),
    Fault("F18 comments for ever", {"stall": 0, "beat": 20}, "stall_first", 200, UNKNOWN,
          kinds=(True,), deadlines=NO_LONGER),
    Fault("F19 headers never come", {"stall": HEADERS}, "stall_first", None, UNKNOWN,
          kinds=(True,), deadlines=NO_LONGER),
    Fault("F20 a role, then a reset", {"role": True, "drop": 0}, "protocol_pre", 200, UNKNOWN,
          kinds=(True,)),
    Fault("F20 a role, then the end", {"role": True, "end": 0}, "protocol_pre", 200, UNKNOWN,
          kinds=(True,)),
    Fault("F22 a reset within a plain answer", {"drop": 1}, "protocol_pre", 200, UNKNOWN,
          kinds=(False,)),
    Fault("F23 a plain answer that is cut short", {"close": 1}, "protocol_pre", 200, UNKNOWN,
          kinds=(False,)),
    Fault("F27 garbage first", {"insert": b"data: {nonsense\n\n"}, "protocol_pre", 200, UNKNOWN,
          kinds=(True,)),
    Fault("F27 invalid UTF-8 first", {"insert": b'data: {"a":"\xff"}\n\n'}, "protocol_pre", 200,
          UNKNOWN, kinds=(True,)),
    Fault("F32 compressed unasked", {"headers": {"Content-Encoding": "gzip"}}, "protocol_pre", 200,
          UNKNOWN),
    Fault("an empty answer", {"empty": True}, "empty", 200, (0, "provider"), failures=0),
]  # fmt: skip
CASES = [
    pytest.param(fault, is_stream, id=f"{fault.id}, {'stream' if is_stream else 'plain'}")
    for fault in FAULTS
    for is_stream in fault.kinds
]


def assert_answered_by(reply: Reply, model: str, attempts: int, *, is_stream: bool) -> None:
    assert reply.status == 200
    assert reply.headers["x-router-model"] == model
    assert reply.headers["x-router-attempts"] == str(attempts)
    if is_stream:
        reply.assert_clean_stream()
        assert {event["model"] for event in reply.events[:-1]} == {model}


@pytest.mark.parametrize(("fault", "is_stream"), CASES)
async def test_the_next_model_answers_and_both_calls_are_booked(
    start: Start, upstream: DemoUpstream, fault: Fault, is_stream: bool
) -> None:
    """F08 F09 F14 F15 F16 F17 F18 F19 F20 F22 F23 F27 F32: the client sees one clean answer."""
    upstream.fail(GLM, **fault.how)
    async with start(deadlines=fault.deadlines) as router:
        reply = await chat(router.url, stream=is_stream)
        assert_answered_by(reply, AURORA, 2, is_stream=is_stream)
        [row] = await router.rows()
        first, second = await router.rows("attempts")
        breaker = await router.breaker(GLM)
    assert [call.model for call in upstream.calls()] == [GLM, AURORA]
    assert (first["model"], first["outcome"]) == (GLM, "failed")
    assert (first["error_class"], first["http_status"]) == (fault.error_class, fault.http_status)
    assert (first["cost_nanousd"], first["cost_source"]) == fault.cost
    assert (second["model"], second["outcome"]) == (AURORA, "completed")
    assert (row["outcome"], row["http_status"], row["error_class"]) == ("completed", 200, None)
    assert (row["served_model"], row["attempts"]) == (AURORA, 2)
    assert row["completion_tokens"] == second["completion_tokens"]
    if first["cost_nanousd"] is None:
        assert row["cost_nanousd"] is None
    else:
        assert row["cost_nanousd"] == second["cost_nanousd"]
    assert (breaker["state"], breaker["failures"]) == ("closed", fault.failures)
    assert (breaker["cooldown_until"] is not None) == fault.is_cool


# When nobody can answer


@pytest.mark.parametrize("is_stream", BOTH, ids=["plain", "stream"])
async def test_a_provider_that_cannot_be_reached_is_nobodys_fault_but_its_own(
    start: Start, closed_port: str, is_stream: bool
) -> None:
    """F01 F44: three refused connections close the provider's gate, and no model's."""
    async with start(url=closed_port) as router:
        reply = await chat(router.url, stream=is_stream)
        assert (reply.status, reply.error["type"]) == (502, "upstream_failed")
        assert reply.headers["x-should-retry"] == "false"
        again = await chat(router.url, stream=is_stream)
        assert (again.status, again.error["type"]) == (503, "no_candidate")
        assert 1 <= int(again.headers["retry-after"]) <= 5
        assert (await router.breaker("gate:transport"))["state"] == "open"
        assert {(await router.breaker(model))["failures"] for model in CODE} == {0}
        rows, attempts = await router.rows(), await router.rows("attempts")
    assert [(row["outcome"], row["error_class"], row["attempts"]) for row in rows] == [
        ("failed", "upstream_failed", 3),
        ("failed", "no_candidate", 0),
    ]
    assert [(a["model"], a["error_class"]) for a in attempts] == [(m, "transport") for m in CODE]
    assert {(a["cost_nanousd"], a["cost_source"]) for a in attempts} == {REFUSED}
    assert {row["cost_nanousd"] for row in rows} == {0}


@pytest.mark.parametrize("is_stream", BOTH, ids=["plain", "stream"])
async def test_a_chain_that_failed_says_how(
    router: Router, upstream: DemoUpstream, is_stream: bool
) -> None:
    """F08: no word of the provider's own, which may hold anything."""
    upstream.fail(GLM, status=500, message="canary stack trace")
    upstream.fail(AURORA, html=True, status=524)
    upstream.fail(MINI, drop=HEADERS)
    reply = await chat(router.url, stream=is_stream)
    assert reply.status == 502
    assert reply.headers["x-should-retry"] == "false"
    assert reply.headers["x-router-attempts"] == "4"  # the last one again, on a new connection
    assert reply.error["type"] == "upstream_failed"
    assert reply.error["metadata"]["candidates"] == [
        {"model": GLM, "error_class": "upstream_5xx", "http_status": 500},
        {"model": AURORA, "error_class": "upstream_5xx", "http_status": 524},
        {"model": MINI, "error_class": "no_response"},
    ]
    assert b"canary" not in reply.body
    [row] = await router.rows()
    assert (row["outcome"], row["http_status"], row["error_class"]) == (
        "failed",
        502,
        "upstream_failed",
    )
    assert (row["served_model"], row["attempts"]) == (None, 4)
    assert (row["cost_nanousd"], row["cost_source"]) == UNKNOWN


async def test_a_chain_in_which_every_model_was_too_slow_is_a_timeout(
    start: Start, upstream: DemoUpstream
) -> None:
    """F18 F19"""
    upstream.fail(stall=HEADERS)
    async with start(deadlines={"first_event_s": 0.1}) as router:
        reply = await chat(router.url, stream=True)
        assert (reply.status, reply.error["type"]) == (504, "upstream_timeout")
        assert reply.headers["x-should-retry"] == "false"
        [row] = await router.rows()
    assert (row["http_status"], row["error_class"]) == (504, "upstream_timeout")
    assert [call.model for call in upstream.calls()] == list(CODE)


async def test_the_whole_chain_has_one_deadline_too(start: Start, upstream: DemoUpstream) -> None:
    """F19: what is left of it is all that the next model gets, and then nobody is asked."""
    upstream.fail(stall=HEADERS)
    async with start(deadlines={"first_event_s": 0.3, "chain_s": 0.5}) as router:
        reply = await chat(router.url, stream=True)
    assert reply.status == 504
    assert [call.model for call in upstream.calls()] == [GLM, AURORA]


async def test_while_nothing_comes_the_client_is_kept_company(
    start: Start, upstream: DemoUpstream
) -> None:
    """F18: our own comments fix the status, but not the model."""
    upstream.fail(GLM, stall=0, beat=20)
    async with start(server={"keepalive_s": 0.05}, deadlines={"first_event_s": 0.4}) as router:
        reply = await chat(router.url, stream=True)
        [row] = await router.rows()
    reply.assert_clean_stream()
    assert reply.body.startswith(b": keep-alive\n\n")
    assert reply.headers["x-router-category"] == "code"
    assert not {"x-router-model", "x-router-attempts"} & reply.headers.keys()
    assert reply.events[0]["model"] == AURORA == row["served_model"]


async def test_after_our_keep_alive_a_failed_chain_is_an_event(
    start: Start, upstream: DemoUpstream
) -> None:
    """F18: the status is out, so the error can only be the stream's last word."""
    upstream.fail(stall=0, beat=20)
    async with start(
        server={"keepalive_s": 0.05}, deadlines={"first_event_s": 0.15}, breaker={"failures": 1}
    ) as router:
        reply = await chat(router.url, stream=True)
        assert not reply.is_whole
        [event] = reply.events
        assert event["error"]["type"] == "upstream_timeout"
        assert event["error"]["code"] == 504
        assert set(reply.body.split(b"\n\n")[:-2]) == {b": keep-alive"}
        [row] = await router.rows()
    assert (row["outcome"], row["http_status"], row["error_class"]) == (
        "failed",
        200,
        "upstream_timeout",
    )


async def test_the_last_models_empty_answer_is_an_answer(
    start: Start, upstream: DemoUpstream
) -> None:
    upstream.fail(empty=True)
    async with start() as router:
        reply = await chat(router.url, stream=True)
        assert_answered_by(reply, MINI, 3, is_stream=True)
        *_, last = await router.rows("attempts")
        assert (last["outcome"], last["note"]) == ("completed", "empty")
        plain = await chat(router.url)
        assert_answered_by(plain, MINI, 3, is_stream=False)
        assert {(await router.breaker(model))["failures"] for model in CODE} == {0}


# Limits


def cooldown_s(breaker: dict[str, Any], since: str) -> float:
    ends = datetime.fromisoformat(breaker["cooldown_until"])
    return (ends - datetime.fromisoformat(since)).total_seconds()


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("7", 7),
        ("date", 30),
        ("soon", 5),
        ("", 5),
        (None, 5),
        ("-3", 1),
        ("1000000000", 3600),
    ],
    ids=["seconds", "date", "garbage", "empty", "absent", "negative", "in a thousand years"],
)
async def test_retry_after_is_how_long_a_model_rests(
    router: Router, upstream: DemoUpstream, retry_after: str | None, seconds: float
) -> None:
    """F09: clamped to 1 s .. 1 h, 5 s for garbage; a rest is no failure."""
    if retry_after == "date":
        retry_after = formatdate(time.time() + 30, usegmt=True)
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    upstream.fail(GLM, status=429, headers=headers)
    assert_answered_by(await chat(router.url), AURORA, 2, is_stream=False)
    first, _ = await router.rows("attempts")
    breaker = await router.breaker(GLM)
    assert (breaker["state"], breaker["failures"]) == ("closed", 0)
    # An HTTP date has whole seconds only.
    assert abs(cooldown_s(breaker, first["finished_at"]) - seconds) < 1.5
    assert_answered_by(await chat(router.url), AURORA, 1, is_stream=False)
    assert len(upstream.calls(GLM)) == 1


@pytest.mark.parametrize("is_stream", BOTH, ids=["plain", "stream"])
async def test_when_every_model_is_limited_the_client_is_told_when_to_come_back(
    router: Router, upstream: DemoUpstream, is_stream: bool
) -> None:
    """F10: with the soonest of their times, and nobody waits here."""
    for model, wait in zip(CODE, ("40", "20", "30"), strict=True):
        upstream.fail(model, status=429, retry_after=wait)
    for attempts in (3, 0):
        reply = await chat(router.url, stream=is_stream)
        assert (reply.status, reply.error["type"]) == (429, "no_candidate")
        assert reply.headers["x-router-attempts"] == str(attempts)
        assert 18 <= int(reply.headers["retry-after"]) <= 20
    assert len(upstream.calls()) == 3
    rows = await router.rows()
    assert [(r["outcome"], r["http_status"], r["cost_nanousd"]) for r in rows] == [
        ("failed", 429, 0)
    ] * 2


async def test_the_platforms_own_limit_rests_every_model(
    router: Router, upstream: DemoUpstream
) -> None:
    """F09 F10: whoever met it still tries its whole chain, others do not begin."""
    upstream.fail(status=429, platform=True, message="Rate limit exceeded: requests-per-min")
    for attempts in (3, 0):
        reply = await chat(router.url)
        assert (reply.status, reply.error["type"]) == (429, "no_candidate")
        assert reply.headers["x-router-attempts"] == str(attempts)
        assert int(reply.headers["retry-after"]) >= 1
    assert len(upstream.calls()) == 3
    assert (await router.breaker("gate:rate"))["cooldown_until"] is not None
    other = await chat(router.url, model="moonshotai/kimi-k2.5")
    assert (other.status, other.headers["x-router-attempts"]) == (429, "0")
    assert {a["error_class"] for a in await router.rows("attempts")} == {"rate"}


@pytest.mark.parametrize("is_stream", BOTH, ids=["plain", "stream"])
async def test_a_model_that_answers_past_the_platforms_limit_ends_it(
    router: Router, upstream: DemoUpstream, is_stream: bool
) -> None:
    """F09"""
    upstream.fail(GLM, status=429, platform=True, message="Rate limit exceeded: requests-per-min")
    for attempts in (2, 1):
        reply = await chat(router.url, stream=is_stream)
        assert_answered_by(reply, AURORA, attempts, is_stream=is_stream)
    assert (await router.breaker("gate:rate"))["cooldown_until"] is None
    assert (await router.breaker(GLM))["cooldown_until"] is not None


# The account


@pytest.mark.parametrize("is_stream", BOTH, ids=["plain", "stream"])
@pytest.mark.parametrize(
    ("how", "error_class", "status", "wait_s"),
    [
        ({"status": 401}, "auth", 401, 60),
        ({"status": 402}, "no_credit", 402, 600),
        ({"status": 401, "via": "body"}, "auth", 401, 60),
    ],
    ids=["F11 401", "F12 402", "F15 a 401 inside a 200"],
)
async def test_our_own_account_closes_everything_at_once(
    router: Router,
    upstream: DemoUpstream,
    how: dict[str, Any],
    error_class: str,
    status: int,
    wait_s: int,
    is_stream: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """F11 F12 F15: 503, never 401 or 402, since a client would throw its own key away."""
    upstream.fail(**how)
    for attempts in (1, 0):
        reply = await chat(router.url, stream=is_stream)
        assert (reply.status, reply.error["type"]) == (503, "upstream_account")
        assert reply.headers["x-should-retry"] == "false"
        assert reply.headers["x-router-attempts"] == str(attempts)
        assert wait_s - 5 <= int(reply.headers["retry-after"]) <= wait_s
        assert UPSTREAM_KEY.encode() not in reply.body
    assert len(upstream.calls()) == 1
    assert caplog.text.count("gate:account: closed -> open") == 1
    assert UPSTREAM_KEY not in caplog.text
    assert (await router.breaker("gate:account"))["state"] == "open"
    glm = await router.breaker(GLM)
    assert (glm["state"], glm["failures"], glm["cooldown_until"]) == ("closed", 0, None)
    [attempt] = await router.rows("attempts")
    assert (attempt["error_class"], attempt["http_status"]) == (error_class, status)
    assert (attempt["cost_nanousd"], attempt["cost_source"]) == REFUSED
    rows = await router.rows()
    assert [(r["outcome"], r["http_status"], r["error_class"]) for r in rows] == [
        ("failed", 503, "upstream_account")
    ] * 2


async def test_credit_that_is_only_reserved_for_a_moment_is_a_rest(
    router: Router, upstream: DemoUpstream
) -> None:
    """F12: 402 with Retry-After is the budget of calls in flight; a cheaper call may fit in."""
    upstream.fail(GLM, status=402, retry_after=9)
    assert_answered_by(await chat(router.url), AURORA, 2, is_stream=False)
    assert_answered_by(await chat(router.url), AURORA, 1, is_stream=False)
    breaker = await router.breaker(GLM)
    assert (breaker["state"], breaker["failures"]) == ("closed", 0)
    assert breaker["cooldown_until"] is not None
    for gate in ("gate:account", "gate:rate"):
        assert (await router.breaker(gate))["cooldown_until"] is None


async def test_credit_that_is_reserved_for_every_model_is_a_429(
    router: Router, upstream: DemoUpstream
) -> None:
    """F12"""
    upstream.fail(status=402, retry_after=9)
    for calls in (3, 3):
        reply = await chat(router.url)
        assert (reply.status, reply.error["type"]) == (429, "no_candidate")
        assert reply.headers["retry-after"] in ("8", "9")
        assert len(upstream.calls()) == calls


# The request


REQUEST_FAULTS = {
    "F13 400": {"status": 400},
    "F13 too long": {"status": 400, "error_type": "context_length_exceeded"},
    "F13 413": {"status": 413},
    "F13 415": {"status": 415},
    "F13 422": {"status": 422},
    "501": {"status": 501},
    "moderation": {"status": 403, "message": "Your input was flagged by moderation"},
    "F15 a 400 inside a 200": {"status": 400, "via": "body"},
}


@pytest.mark.parametrize(
    ("how", "is_stream"),
    [
        *(pytest.param(how, False, id=f"{id}, plain") for id, how in REQUEST_FAULTS.items()),
        pytest.param({"status": 400}, True, id="F13 400, stream"),
        pytest.param({"status": 400, "via": "body"}, True, id="F15 a 400 inside a 200, stream"),
        pytest.param({"status": 400, "via": "event"}, True, id="F17 a 400 first, stream"),
    ],
)
async def test_a_request_at_fault_is_refused_once_with_upstreams_words(
    router: Router, upstream: DemoUpstream, how: dict[str, Any], is_stream: bool
) -> None:
    """F13 F15 F17: no other model could do better, and no breaker learns anything."""
    how = {"message": "m" * 600, **how}
    upstream.fail(**how, headers={"X-Secret": "canary"})
    reply = await chat(router.url, stream=is_stream)
    assert reply.status == how["status"]
    error = reply.error
    assert error["type"] == "upstream_refused"
    assert error["message"] == how["message"][:512]
    assert error["metadata"].keys() == {"error_type", "provider_name"}
    assert "x-secret" not in reply.headers
    assert len(upstream.calls()) == 1
    [row] = await router.rows()
    [attempt] = await router.rows("attempts")
    assert (row["outcome"], row["http_status"], row["error_class"]) == (
        "failed",
        how["status"],
        "upstream_refused",
    )
    assert attempt["error_class"] in ("request", "policy")
    assert (attempt["cost_nanousd"], attempt["cost_source"]) == REFUSED
    glm = await router.breaker(GLM)
    assert (glm["state"], glm["failures"], glm["cooldown_until"]) == ("closed", 0, None)


# What was learnt


async def test_three_failures_in_a_row_open_a_breaker_and_it_is_skipped(
    router: Router, upstream: DemoUpstream
) -> None:
    """F08 F44: open from the third failure on; from then on the model is not called."""
    upstream.fail(GLM, status=500)
    for _ in range(3):
        assert_answered_by(await chat(router.url), AURORA, 2, is_stream=False)
    breaker = await router.breaker(GLM)
    assert breaker["state"] == "open"
    assert (await router.get("/health"))["status"] == "degraded"
    assert_answered_by(await chat(router.url), AURORA, 1, is_stream=False)
    assert len(upstream.calls(GLM)) == 3
    third = (await router.rows())[2]
    [move] = (await router.get("/circuit-breaker"))["transitions"]
    assert (move["from"], move["to"]) == ("closed", "open")
    assert move["request_id"] == third["id"]


async def test_a_model_that_fails_now_and_then_stays_in(
    router: Router, upstream: DemoUpstream
) -> None:
    """F45: only failures in a row count; how often it fails shows all the same."""
    for _ in range(3):
        upstream.fail(GLM, status=500, times=2)
        for model in (AURORA, AURORA, GLM):
            assert (await chat(router.url)).headers["x-router-model"] == model
    assert (await router.breaker(GLM))["state"] == "closed"
    await router.rows()
    async with router.http.get(router.url + "/metrics?format=prometheus") as response:
        text = await response.text()
    failed = f'error_class="upstream_5xx",kind="chat",model="{GLM}",outcome="failed"'
    assert f"llm_router_attempts_total{{{failed}}} 6.0" in text


@pytest.mark.parametrize("is_stream", BOTH, ids=["plain", "stream"])
async def test_with_every_breaker_open_nobody_is_called(
    start: Start, upstream: DemoUpstream, is_stream: bool
) -> None:
    """F44"""
    upstream.fail(status=500)
    async with start(breaker={"failures": 1}) as router:
        assert (await chat(router.url, stream=is_stream)).status == 502
        reply = await chat(router.url, stream=is_stream)
        assert (reply.status, reply.error["type"]) == (503, "no_candidate")
        assert 290 <= int(reply.headers["retry-after"]) <= 300
        assert {c["skipped"] for c in reply.error["metadata"]["candidates"]} == {
            "upstream_5xx (HTTP 500)"
        }
        assert len(upstream.calls()) == 3
        *_, row = await router.rows()
    assert (row["outcome"], row["attempts"], row["cost_nanousd"]) == ("failed", 0, 0)


async def test_a_model_that_went_is_said_in_health(start: Start, upstream: DemoUpstream) -> None:
    """F14: once the model list lacks it, it is left out at no cost."""
    upstream.models.retire(GLM)
    async with start() as router:
        assert GLM in (await router.until_listed())["gone"]
        assert_answered_by(await chat(router.url), AURORA, 1, is_stream=False)
    assert not upstream.calls(GLM)


async def test_a_named_model_that_is_gone_is_not_found_each_time(
    router: Router, upstream: DemoUpstream
) -> None:
    """F14: nor is anybody told to wait for it."""
    for attempts in ("1", "0"):
        reply = await chat(router.url, model="acme/none-1")
        assert (reply.status, reply.error["type"]) == (404, "model_not_found")
        assert "retry-after" not in reply.headers
        assert reply.headers["x-router-attempts"] == attempts


async def test_a_chain_of_which_nothing_is_left_is_the_operators_to_mend(
    router: Router, upstream: DemoUpstream
) -> None:
    """F14"""
    for model in (GLM, AURORA, MINI):
        upstream.fail(model, status=404, error_type="not_found")
    tried = await chat(router.url)
    assert (tried.status, tried.error["type"]) == (502, "upstream_failed")
    again = await chat(router.url)
    assert (again.status, again.error["type"]) == (503, "no_candidate")
    assert 590 <= int(again.headers["retry-after"]) <= 600
    for reply in (tried, again):
        assert "no model of this chain exists" in reply.error["message"].lower()
        assert reply.headers["x-should-retry"] == "false"


async def test_timeouts_behind_upstream_are_timeouts_too(
    router: Router, upstream: DemoUpstream
) -> None:
    for model, status in ((GLM, 504), (AURORA, 524), (MINI, 408)):
        upstream.fail(model, status=status)
    reply = await chat(router.url)
    assert (reply.status, reply.error["type"]) == (504, "upstream_timeout")


async def test_another_key_is_tried_after_a_restart(start: Start, upstream: DemoUpstream) -> None:
    """F11: what the former key was refused says nothing about it; the same one stays shut out."""
    upstream.fail(status=401)
    async with start() as router:
        assert (await chat(router.url)).error["type"] == "upstream_account"
    upstream.clear()
    async with start() as router:
        assert (await chat(router.url)).error["type"] == "upstream_account"
        assert not upstream.calls(GLM)
    async with start(upstream={"api_key": "sk-or-corrected"}) as router:
        assert (await chat(router.url)).status == 200
