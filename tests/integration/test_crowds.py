"""Many at once: more than may be, all after one model, or all of them slow."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from llm_router import keys
from llm_router.demo.upstream import DemoUpstream
from tests.fakes.waiting import until
from tests.integration.client import Caller, calling, chat, chat_body, request
from tests.integration.conftest import PATIENCE_S, Router, Start

GLM, AURORA = "z-ai/glm-5", "openrouter/aurora-alpha"


async def asking(stack: AsyncExitStack, router: Router, **fields: Any) -> Caller:
    caller = await stack.enter_async_context(calling(router.url))
    caller.writer.write(request(chat_body(**fields)))
    return caller


async def test_more_than_may_be_in_flight_are_told_to_come_back(
    start: Start, upstream: DemoUpstream
) -> None:
    """F63: at once and without a call; who was admitted is served, and then there is room again."""
    release = upstream.hold(GLM)
    async with start(server={"max_in_flight": 3}) as router, AsyncExitStack() as stack:
        admitted = [await asking(stack, router) for _ in range(3)]
        async with asyncio.timeout(PATIENCE_S):
            await upstream.until(lambda: len(upstream.calls()) == 3)
        for reply in await asyncio.gather(*(chat(router.url) for _ in range(20))):
            assert (reply.status, reply.error["type"]) == (503, "unavailable")
            assert reply.headers["retry-after"] == "1"
        assert (await router.get("/health"))["status"] == "ok"
        release.set()
        assert [(await caller.reply()).status for caller in admitted] == [200] * 3
        assert (await chat(router.url)).status == 200
        assert len(upstream.calls()) == 4
        rows = await router.rows()
    refused = [row for row in rows if row["outcome"] == "failed"]
    assert len(refused) == 20
    assert {(row["http_status"], row["attempts"]) for row in refused} == {(503, 0)}


async def test_of_a_herd_one_tries_the_model_that_was_shut_out(
    start: Start, upstream: DemoUpstream
) -> None:
    """F83: the others do not wait for its answer, they go on to the next model."""
    upstream.fail(GLM, status=500, times=1)
    async with start(breaker={"failures": 1, "open_s": 0.05}) as router:
        assert (await chat(router.url)).headers["x-router-model"] == AURORA
        release = upstream.hold(GLM)
        await until(lambda: router.app[keys.BREAKERS].peek(GLM) is None)  # its wait is over
        herd = [asyncio.ensure_future(chat(router.url)) for _ in range(100)]
        await until(lambda: sum(task.done() for task in herd) == len(herd) - 1)
        done = [task.result() for task in herd if task.done()]
        [probe] = [task for task in herd if not task.done()]
        assert {reply.headers["x-router-model"] for reply in done} == {AURORA}
        assert len(upstream.calls(GLM)) == 2
        release.set()
        assert (await probe).headers["x-router-model"] == GLM
        assert (await router.breaker(GLM))["state"] == "closed"
