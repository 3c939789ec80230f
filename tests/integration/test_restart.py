"""What a process leaves behind when it is killed, and how it goes when it is asked to."""

import asyncio
import sys
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from llm_router.demo.upstream import DemoUpstream
from llm_router.serving import drain
from llm_router.tasks import spawn
from tests.integration.client import Caller, calling, chat, chat_body, request
from tests.integration.conftest import PATIENCE_S, Router, Start, eventually
from tests.integration.process import Server, serving

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

GLM, AURORA, MINI = "z-ai/glm-5", "openrouter/aurora-alpha", "openai/gpt-4o-mini"
STREAMS = 20


async def admin(server: Server, method: str, path: str, body: Any = None) -> Any:
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, server.url + path, json=body) as response,
    ):
        assert response.status == 200, await response.text()
        return await response.json()


async def open_stream(stack: AsyncExitStack, server: Server | Router, **fields: Any) -> Caller:
    """Begin a stream and read up to its first chunk."""
    caller = await stack.enter_async_context(calling(server.url))
    caller.writer.write(request(chat_body(stream=True, **fields)))
    await caller.until(b"data: {")
    return caller


async def test_sigkill_loses_nothing_that_was_promised(
    upstream: DemoUpstream, tmp_path: Path
) -> None:
    """F69: configuration, open breakers and finished rows stand; what was in flight is `lost`."""
    upstream.generations.polls = 0
    upstream.fail(AURORA, status=500)
    async with serving(upstream, tmp_path, LLM_ROUTER_BREAKER__FAILURES="1") as server:
        for _ in range(3):
            assert (await chat(server.url, model=MINI)).status == 200
        assert (await chat(server.url, model=AURORA)).status == 502
        category = {"name": "poems", "models": ["glm-5"], "keywords": ["sonnet"]}
        await admin(server, "POST", "/config/category", category)
        mapping = {"category": "code", "models": ["kimi-k2.5", "glm-5"]}
        await admin(server, "POST", "/config/model-mapping", mapping)
        before = await admin(server, "GET", "/config")
        [opened] = await _open_breakers(server)
        upstream.hold(GLM, at=2)
        async with AsyncExitStack() as stack:
            await asyncio.gather(
                *(open_stream(stack, server, model="router/poems") for _ in range(STREAMS))
            )
            await server.kill()

    async def are_priced() -> bool:
        return all(row["cost_nanousd"] is not None for row in server.rows())

    async with serving(upstream, tmp_path) as server:
        assert await admin(server, "GET", "/config") == before
        [still] = await _open_breakers(server)
        assert still["model"] == AURORA
        for moment in ("since", "until"):
            # The last millisecond is a matter of rounding.
            moved = datetime.fromisoformat(still[moment]) - datetime.fromisoformat(opened[moment])
            assert abs(moved.total_seconds()) < 0.1
        rows = server.rows()
        assert (await chat(server.url, model=AURORA)).error["type"] == "no_candidate"
        outcomes = [row["outcome"] for row in rows]
        assert sorted(outcomes) == ["completed"] * 3 + ["failed"] + ["lost"] * STREAMS
        lost = {row["id"] for row in rows if row["outcome"] == "lost"}
        attempts = [a for a in server.rows("attempts") if a["request_id"] in lost]
        assert len(attempts) == len(upstream.calls(GLM)) == STREAMS
        assert {(a["outcome"], a["error_class"]) for a in attempts} == {("lost", "process_died")}
        # Which body's answer it was is known, so what it came to can be asked for.
        await eventually(are_priced)
        spent = sum(row["cost_nanousd"] for row in server.rows())
        assert spent == upstream.billed_usd * 10**9
    assert "Traceback" not in server.log.read_text()


async def _open_breakers(server: Server) -> list[dict[str, Any]]:
    shown = await admin(server, "GET", "/circuit-breaker")
    return [breaker for breaker in shown["breakers"] if breaker["state"] == "open"]


async def test_sigterm_lets_streams_end_and_cuts_those_that_take_too_long(
    upstream: DemoUpstream, tmp_path: Path
) -> None:
    """F66 F67: no new connections, whole answers for who is quick, the truth for the others."""
    release = upstream.hold(GLM, at=2)
    upstream.hold(MINI, at=2)
    upstream.hold(AURORA)
    async with (
        serving(upstream, tmp_path, LLM_ROUTER_SERVER__DRAIN_S="1") as server,
        AsyncExitStack() as stack,
    ):
        quick = await open_stream(stack, server, model=GLM)
        long = await open_stream(stack, server, model=MINI)
        silent = await stack.enter_async_context(calling(server.url))
        silent.writer.write(request(chat_body(model=AURORA)))
        async with asyncio.timeout(PATIENCE_S):
            await upstream.until(lambda: bool(upstream.calls(AURORA)))
        server.stop()
        await eventually(server.is_refusing)
        release.set()
        rest = await quick.rest()
        assert rest.is_whole
        assert rest.body.endswith(b"data: [DONE]\n\n")
        cut = await long.rest()
        assert cut.last_words["type"] == "server_draining"
        refused = await silent.reply()
        assert (refused.status, refused.error["type"]) == (503, "unavailable")
        assert await server.exit_code() == 0
        rows = {row["requested_model"]: row for row in server.rows()}
        attempts = {a["model"]: a for a in server.rows("attempts")}
    assert {model: (row["outcome"], row["error_class"]) for model, row in rows.items()} == {
        GLM: ("completed", None),
        MINI: ("truncated", "draining"),
        AURORA: ("failed", "unavailable"),
    }
    assert attempts[MINI]["outcome"] == "truncated"
    assert (attempts[AURORA]["outcome"], attempts[AURORA]["error_class"]) == ("failed", "draining")
    assert attempts[MINI]["generation_id"] is not None
    assert "Traceback" not in server.log.read_text()


async def test_a_second_signal_ends_it_at_once(upstream: DemoUpstream, tmp_path: Path) -> None:
    """F68: in order all the same: clients are told, and the rows stand."""
    upstream.hold(GLM, at=2)
    async with (
        serving(upstream, tmp_path, LLM_ROUTER_SERVER__DRAIN_S="3600") as server,
        AsyncExitStack() as stack,
    ):
        caller = await open_stream(stack, server, model=GLM)
        server.stop()
        await eventually(server.is_refusing)
        server.stop()
        assert (await caller.rest()).last_words["type"] == "server_draining"
        assert await server.exit_code() == 0
        [row] = server.rows()
    assert (row["outcome"], row["error_class"], row["http_status"]) == (
        "truncated",
        "draining",
        200,
    )


async def test_while_it_drains_it_is_not_ready(start: Start, upstream: DemoUpstream) -> None:
    """F66: who asks on an open connection is told at once; who is being answered is not cut."""
    release = upstream.hold(GLM, at=2)
    ready = b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with start() as router, calling(router.url) as monitor, AsyncExitStack() as stack:
        caller = await open_stream(stack, router, model=GLM)
        monitor.writer.write(ready)
        assert (await monitor.reply()).status == 200
        draining = spawn(drain(router.runner, 3600), name="drain")
        await asyncio.sleep(0)
        monitor.writer.write(ready)
        assert (await monitor.reply()).status == 503
        release.set()
        assert (await caller.rest()).is_whole
        await draining
        [row] = await router.rows()
    assert row["outcome"] == "completed"
