"""Many at once: more than may be, all after one model, or all of them slow."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from llm_router import keys
from llm_router.demo.upstream import DemoUpstream
from tests.fakes.upstream import Upstream
from tests.fakes.waiting import until
from tests.integration.client import Caller, calling, chat, chat_body, request
from tests.integration.conftest import PATIENCE_S, Router, Start, eventually
from tests.integration.process import serving
from tests.oracles import resources
from tests.oracles.loop import longest_callback

A_CROWDS_PATIENCE_S = 600  # on a machine that is busy with other things

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


async def test_a_hundred_trickles_hold_nobody_up(start: Start, upstream: DemoUpstream) -> None:
    """F30: each of them passes event by event, and no step for it takes long."""
    upstream.fail(GLM, chunks=5, gap=50)
    async with start() as router:
        with longest_callback() as longest:
            replies = await asyncio.gather(*(chat(router.url, stream=True) for _ in range(100)))
    for reply in replies:
        reply.assert_clean_stream()
    assert longest.ms < 50, longest.what


@pytest.mark.slow
async def test_a_thousand_trickles_hold_nobody_up(start: Start, upstream: DemoUpstream) -> None:
    """F30: one event a second each, and a health check is answered all the while."""
    upstream.fail(GLM, chunks=5, gap=1000)
    async with start() as router:
        with longest_callback() as longest:
            asking = asyncio.gather(*(chat(router.url, stream=True) for _ in range(1000)))
            while not asking.done():
                assert (await router.get("/health"))["status"] == "ok"
                await asyncio.sleep(0.1)
    for reply in await asking:
        reply.assert_clean_stream()
    assert longest.ms < 50, longest.what


@pytest.mark.slow
async def test_thousands_of_idle_connections_hold_nobody_up(
    upstream: Upstream, tmp_path: Path
) -> None:
    """F53: some say nothing, some begin a request and stop; those are dropped."""
    allow_descriptors(6000)
    in_short = {"LLM_ROUTER_DEADLINES__HEADER_S": "2"}
    async with serving(upstream, tmp_path, **in_short) as server, AsyncExitStack() as stack:
        assert (await chat(server.url)).status == 200
        idle = await connected(stack, server.url, 4000)
        begun = await connected(stack, server.url, 1000)
        for caller in begun:
            caller.writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: ")
        for _ in range(50):
            assert (await chat(server.url)).status == 200
        async with asyncio.timeout(PATIENCE_S):
            assert {await caller.reader.read() for caller in begun} == {b""}
        for caller in idle[::100]:
            caller.writer.write(request(chat_body()))
            assert (await caller.reply()).status == 200


@pytest.mark.slow
async def test_ten_thousand_at_once_are_served_or_told_to_come_back(
    upstream: Upstream, tmp_path: Path
) -> None:
    """F63: what was admitted is served, no descriptor stays behind, and who was read has a row."""
    allow_descriptors(12_000)
    release = upstream.hold(GLM)
    few = {"LLM_ROUTER_SERVER__MAX_IN_FLIGHT": "200"}
    async with serving(upstream, tmp_path, **few) as server:
        before = len(resources.descriptors(server.process.pid))
        async with AsyncExitStack() as stack:
            callers = await connected(stack, server.url, 10_000)
            for caller in callers:
                caller.writer.write(request(chat_body()))
            replies = [
                asyncio.ensure_future(caller.reply(A_CROWDS_PATIENCE_S)) for caller in callers
            ]

            async def are_refused() -> bool:
                return sum(reply.done() for reply in replies) == 9_800

            await eventually(are_refused, A_CROWDS_PATIENCE_S)
            async with asyncio.timeout(PATIENCE_S):
                await upstream.until(lambda: len(upstream.calls()) == 200)
            release.set()
            answers = await asyncio.gather(*replies)
        assert Counter(answer.status for answer in answers) == {503: 9_800, 200: 200}
        # Those for whom the machine has no descriptors are turned away before they are read.
        unread = sum(answer.headers.get("connection") == "close" for answer in answers)
        assert len(upstream.calls()) == 200

        async def is_at_rest() -> bool:
            # Kept: connections to upstream that may serve again, and a file or two of the books.
            return len(resources.descriptors(server.process.pid)) <= before + 210

        await eventually(is_at_rest)
        assert (await chat(server.url)).status == 200

        async def are_booked() -> bool:
            return len(server.rows()) == 10_001 - unread

        await eventually(are_booked)


async def connected(stack: AsyncExitStack, url: str, count: int) -> list[Caller]:
    """Open connections, so many at a time that none waits in a queue for long."""
    callers: list[Caller] = []
    while len(callers) < count:
        batch = (stack.enter_async_context(calling(url)) for _ in range(min(500, count)))
        callers.extend(await asyncio.gather(*batch))
    return callers


def allow_descriptors(count: int) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no such limit to raise")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard < count:
            pytest.skip(f"this needs {count} descriptors, and {hard} are allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
