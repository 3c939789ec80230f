"""A stream after its first substance: nobody else may answer, and no fault may look like an end."""

from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from llm_router.demo.upstream import DemoUpstream
from tests.integration.client import DONE, Reply, chat
from tests.integration.conftest import Router, Start
from tests.oracles.transcript import came_from

GLM = "z-ai/glm-5"
CUT = 3  # chunks that come before the fault
MIB = 1024 * 1024


@dataclass(frozen=True)
class Fault:
    """How the stream fails after `CUT` chunks, and what is said of it."""

    id: str
    how: dict[str, Any]
    error_class: str
    deadlines: dict[str, float] = field(default_factory=dict)


FAULTS = [
    Fault("F21 silence", {"stall": CUT}, "stream_stalled", {"idle_s": 0.1}),
    Fault("F21 comments only", {"stall": CUT, "beat": 20}, "stream_stalled", {"idle_s": 0.1}),
    Fault("F22 reset", {"drop": CUT}, "upstream_reset"),
    Fault("F23 FIN inside the body", {"close": CUT}, "stream_truncated"),
    Fault("F23 an end without a finish", {"end": CUT}, "stream_truncated"),
    Fault("F27 garbage", {"insert": b"data: {nonsense\n\n", "after": CUT}, "stream_truncated"),
    Fault("F27 no object", {"insert": b"data: [1]\n\n", "after": CUT}, "stream_truncated"),
    Fault("F27 invalid UTF-8", {"insert": b'data: {"a":"\xff"}\n\n', "after": CUT},
          "stream_truncated"),
    Fault("F28 an event without end", {"insert": b"data: " + 17 * MIB * b"x", "after": CUT},
          "event_too_large"),
    Fault("F30 a trickle", {"chunks": 50, "gap": 50}, "total_timeout", {"total_s": 0.4}),
]  # fmt: skip


async def healthy_stream(upstream: DemoUpstream, body: bytes) -> bytes:
    """Return what upstream streams for a body when nothing is wrong."""
    upstream.clear()
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer x"}) as http,
        http.post(f"{upstream.url}/chat/completions", data=body) as response,
    ):
        return await response.read()


def chunks_in(body: bytes) -> int:
    return body.count(b"data: {")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
async def test_a_fault_after_the_first_substance_is_told_and_booked(
    start: Start, upstream: DemoUpstream, fault: Fault
) -> None:
    """F21 F22 F23 F27 F28 F30: what came, one error event, and a connection that just ends."""
    upstream.fail(GLM, **fault.how)
    async with start(deadlines=fault.deadlines) as router:
        reply = await chat(router.url, stream=True)
        error = reply.last_words
        [row] = await router.rows()
        [attempt] = await router.rows("attempts")
        breaker = await router.breaker(GLM)
        [call] = upstream.calls()
        await upstream.until(lambda: call.is_over)
    assert error["type"] == fault.error_class
    if fault.deadlines:  # we hung up, which is what stops a provider's meter
        assert call.disconnected_at is not None
    came = reply.before_last_words
    if "chunks" not in fault.how:
        assert chunks_in(came) == CUT
    if "beat" not in fault.how and "chunks" not in fault.how:
        assert came_from(reply.body, await healthy_stream(upstream, call.body))
    assert (row["outcome"], row["http_status"]) == ("truncated", 200)
    assert (row["served_model"], row["attempts"]) == (GLM, 1)
    assert (attempt["outcome"], attempt["http_status"]) == ("truncated", 200)
    assert row["error_class"] == attempt["error_class"] == fault.error_class
    assert (attempt["cost_nanousd"], attempt["cost_source"]) == (None, "unknown")
    assert attempt["generation_id"] == call.generation_id
    assert row["time_to_first_chunk_ms"] is not None
    assert (breaker["state"], breaker["failures"]) == ("closed", 1)


@pytest.mark.parametrize("choices", ["present", "empty", "none"])
@pytest.mark.parametrize("code", [None, "server_error", "none"], ids=["int", "string", "missing"])
async def test_upstreams_own_error_event_passes_and_ends_the_stream(
    router: Router, upstream: DemoUpstream, code: str | None, choices: str
) -> None:
    """F26: as it came, then the connection is dropped; of ours nothing is added."""
    upstream.fail(GLM, status=502, via="event", after=CUT, code=code, choices=choices)
    reply = await chat(router.url, stream=True)
    assert not reply.is_whole
    assert DONE not in reply.body
    *_, last = reply.events
    assert last["error"]["message"] == "Provider returned error"
    assert chunks_in(reply.body) == CUT + 1
    [row] = await router.rows()
    [attempt] = await router.rows("attempts")
    assert (row["outcome"], row["error_class"]) == ("truncated", "error_mid")
    assert (attempt["outcome"], attempt["error_class"]) == ("truncated", "error_mid")
    assert (await router.breaker(GLM))["failures"] == 1
    assert len(upstream.calls()) == 1


async def test_a_limit_in_the_middle_is_a_rest_and_no_failure(
    router: Router, upstream: DemoUpstream
) -> None:
    """F26"""
    upstream.fail(GLM, status=429, via="event", after=CUT, retry_after=20)
    reply = await chat(router.url, stream=True)
    assert not reply.is_whole
    breaker = await router.breaker(GLM)
    assert breaker["failures"] == 0
    assert breaker["cooldown_until"] is not None
    [row] = await router.rows()
    assert (row["outcome"], row["error_class"]) == ("truncated", "error_mid")


@pytest.mark.usefixtures("eager_reconciler")
async def test_a_broken_stream_is_asked_for_its_cost(
    router: Router, upstream: DemoUpstream
) -> None:
    """F22 F48: its usage never came, so the generation endpoint says what it was."""
    upstream.fail(GLM, drop=CUT)
    await chat(router.url, stream=True)
    row = await router.until_priced()
    [attempt] = await router.rows("attempts")
    assert row["cost_source"] == attempt["cost_source"] == "reconciled"
    assert row["cost_nanousd"] == attempt["cost_nanousd"] == upstream.billed_usd * 10**9 > 0
    assert row["completion_tokens"] == CUT


@pytest.mark.parametrize("size", [MIB, 8 * MIB], ids=["1 MiB", "8 MiB"])
async def test_a_long_event_passes_byte_by_byte(
    router: Router, upstream: DemoUpstream, size: int
) -> None:
    """F28: providers put whole images into one line."""
    upstream.fail(GLM, huge=size)
    reply = await chat(router.url, stream=True)
    reply.assert_clean_stream()
    assert reply.events[0]["choices"][0]["delta"]["content"] == "x" * size


@pytest.mark.parametrize("crlf", [False, True], ids=["LF", "CRLF"])
async def test_blocks_cut_anywhere_make_the_same_stream(
    router: Router, upstream: DemoUpstream, crlf: bool
) -> None:
    """F29"""
    upstream.fail(GLM, bytewise=True, crlf=crlf)
    reply = await chat(router.url, stream=True)
    [call] = upstream.calls()
    expected = await healthy_stream(upstream, call.body)
    assert reply.is_whole
    assert reply.body == (expected.replace(b"\n", b"\r\n") if crlf else expected)


async def test_a_missing_done_is_added_behind_a_finish(
    router: Router, upstream: DemoUpstream
) -> None:
    """F24: the answer is whole, and so is its row, with a note."""
    upstream.fail(GLM, no_done=True)
    reply = await chat(router.url, stream=True)
    reply.assert_clean_stream()
    [call] = upstream.calls()
    assert reply.body == await healthy_stream(upstream, call.body)
    [row] = await router.rows()
    [attempt] = await router.rows("attempts")
    assert (row["outcome"], attempt["outcome"]) == ("completed", "completed")
    assert attempt["note"] == "no [DONE]"
    assert row["cost_source"] == "provider"


async def test_a_missing_finish_is_not_invented(router: Router, upstream: DemoUpstream) -> None:
    """F24: some providers never send one; their [DONE] counts, and is noted."""
    upstream.fail(GLM, no_finish=True)
    reply = await chat(router.url, stream=True)
    reply.assert_clean_stream()
    assert {e["choices"][0]["finish_reason"] for e in reply.events[:-1] if e["choices"]} == {None}
    [attempt] = await router.rows("attempts")
    assert (attempt["outcome"], attempt["note"]) == ("completed", "no finish_reason")


# What it says of itself


USAGES = {
    "repeat": "provider",
    "empty": "provider",
    "blank": "provider",
    "twice": "provider",
    "no_cost": "computed",
    "absent": "unknown",
    "negative": "unknown",
    "huge": "unknown",
    "text": "unknown",
}


@pytest.mark.parametrize(
    ("usage", "source", "is_stream"),
    [
        *(pytest.param(*item, True, id=f"{item[0]}, stream") for item in USAGES.items()),
        *(
            pytest.param(u, USAGES[u], False, id=f"{u}, plain")
            for u in ("no_cost", "absent", "text")
        ),
    ],
)
async def test_usage_in_every_shape_makes_a_sound_row(
    router: Router, upstream: DemoUpstream, usage: str, source: str, is_stream: bool
) -> None:
    """F38: what makes no sense is not booked, and an unknown cost is NULL, never 0."""
    await router.until_listed()
    upstream.generations.polls = 10**6
    upstream.fail(GLM, usage=usage)
    reply: Reply = await chat(router.url, stream=is_stream)
    assert reply.status == 200
    [call] = upstream.calls()
    [row] = await router.rows()
    [attempt] = await router.rows("attempts")
    assert row["outcome"] == "completed"
    assert row["cost_source"] == attempt["cost_source"] == source
    assert row["cost_nanousd"] == attempt["cost_nanousd"]
    if source == "unknown":
        assert row["cost_nanousd"] is None
        assert row["prompt_tokens"] is row["completion_tokens"] is None
    else:
        assert row["cost_nanousd"] == call.billed_usd * 10**9
        assert row["completion_tokens"] > 0


@pytest.mark.usefixtures("eager_reconciler")
async def test_a_whole_answer_without_usage_is_asked_for_its_cost(
    router: Router, upstream: DemoUpstream
) -> None:
    """F38"""
    upstream.fail(GLM, usage="absent")
    (await chat(router.url, stream=True)).assert_clean_stream()
    row = await router.until_priced()
    assert (row["outcome"], row["cost_source"]) == ("completed", "reconciled")
    assert row["cost_nanousd"] == upstream.billed_usd * 10**9
    assert row["completion_tokens"] > 0


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
async def test_another_model_than_asked_for_is_booked_beside_it(
    router: Router, upstream: DemoUpstream, is_stream: bool
) -> None:
    """F39: at the cost that upstream says."""
    upstream.fail(GLM, served="z-ai/glm-5-air", provider="Elsewhere")
    reply = await chat(router.url, stream=is_stream)
    assert reply.headers["x-router-model"] == GLM
    assert b'"model":"z-ai/glm-5-air"' in reply.body
    [attempt] = await router.rows("attempts")
    assert (attempt["model"], attempt["served_model"]) == (GLM, "z-ai/glm-5-air")
    assert (attempt["provider"], attempt["cost_source"]) == ("Elsewhere", "provider")
    assert attempt["cost_nanousd"] == upstream.billed_usd * 10**9
