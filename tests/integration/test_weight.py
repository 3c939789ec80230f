"""What hostile bytes may cost a process: memory is bounded whatever comes, and comes back."""

import asyncio
import gzip
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes.chaos import HANG, REQUEST, Chaos, Step, running_chaos
from tests.fakes.upstream import Upstream
from tests.fuzz import shapes
from tests.integration.client import calling, chat, chat_body, post, request
from tests.integration.process import Server, serving
from tests.integration.wire import ANSWER, WORDS, chunked, plain, stream
from tests.oracles import resources

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's memory"),
]

MIB = 1024 * 1024
_NO_LIST: list[Step] = [REQUEST, plain(b"{}", status=b"404 X", headers=b"Connection: close\r\n")]


@asynccontextmanager
async def served(
    upstream: Upstream, folder: Path, *steps: Step, **environ: str
) -> AsyncIterator[tuple[Server, Chaos]]:
    """Serve as a process whose upstream answers two requests, plays `steps`, then answers again."""
    scripts: list[list[Step]] = [[*WARM, *steps], [REQUEST, plain()] * 50]
    async with (
        running_chaos(_NO_LIST, *scripts) as chaos,
        serving(
            upstream,
            folder,
            OPENROUTER_BASE_URL=chaos.url,
            LLM_ROUTER_BREAKER__FAILURES="1000",
            **environ,
        ) as server,
    ):
        await chaos.until_connected()
        await chaos.connections[0].over.wait()
        yield server, chaos


class Weight:
    """A process's peak above what it had at first, in MiB."""

    def __init__(self, server: Server) -> None:
        self._pid = server.process.pid
        resources.forget_peak(self._pid)
        self._before = resources.memory_kib(self._pid)

    @property
    def mib(self) -> float:
        return (resources.memory_kib(self._pid, "VmHWM") - self._before) / 1024


async def warmed(server: Server) -> Weight:
    for is_stream in (False, True):
        await chat(server.url, stream=is_stream)
    await asyncio.sleep(0.3)  # what a process reads just after its start is part of what it weighs
    return Weight(server)


WARM: list[Step] = [REQUEST, plain(), REQUEST, stream(ANSWER)]


async def test_a_fast_upstream_waits_for_a_client_that_does_not_read(
    upstream: Upstream, tmp_path: Path
) -> None:
    """F31 F51 T22: of 100 MB, next to nothing is held."""
    block = chunked(WORDS * 2000, is_whole=False)
    flood: list[Step] = [block] * (100 * MIB // len(block))
    in_short = {"LLM_ROUTER_DEADLINES__WRITE_S": "1"}
    async with served(
        upstream, tmp_path, REQUEST, stream(WORDS, is_whole=False), *flood, HANG, **in_short
    ) as (server, chaos):
        weight = await warmed(server)
        async with calling(server.url) as caller:
            caller.transport.pause_reading()
            caller.writer.write(request(chat_body(stream=True)))
            connection = chaos.connections[1]
            await connection.over.wait()  # the client is given up
        assert connection.written < 30 * MIB
        assert weight.mib < 8


async def test_an_event_without_end_is_held_up_to_its_limit(
    upstream: Upstream, tmp_path: Path
) -> None:
    """F28 T22: 16 MiB of it, less than three times over."""
    line = stream(WORDS + b"data: ", is_whole=False)
    more: list[Step] = [chunked(MIB * b"x", is_whole=False)] * 20
    async with served(upstream, tmp_path, REQUEST, line, *more, HANG) as (server, _):
        weight = await warmed(server)
        reply = await chat(server.url, stream=True)
        assert reply.last_words["type"] == "event_too_large"
        assert weight.mib < 48


async def test_a_compressed_bomb_is_not_even_unpacked(upstream: Upstream, tmp_path: Path) -> None:
    """F32 F55 T18: 50 MB in 48 KB, from upstream and from a client."""
    bomb = gzip.compress(bytes(50 * MIB))
    for_us = plain(bomb, headers=b"Content-Encoding: gzip\r\n")
    async with served(upstream, tmp_path, REQUEST, for_us, REQUEST, plain()) as (server, _):
        weight = await warmed(server)
        assert (await chat(server.url)).headers["x-router-attempts"] == "2"
        packed = {"Content-Encoding": "gzip"}
        assert (await post(server.url, bomb, headers=packed)).status == 415
        assert weight.mib < 4


async def test_a_body_without_end_is_held_up_to_its_limit(
    upstream: Upstream, tmp_path: Path
) -> None:
    """F35 T22: 64 MiB, and not twice."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    endless: list[Step] = [MIB * b"1"] * 70
    async with served(upstream, tmp_path, REQUEST, head, *endless, HANG) as (server, _):
        weight = await warmed(server)
        assert (await chat(server.url)).status == 200
        assert weight.mib < 160


@pytest.mark.parametrize("is_announced", [True, False], ids=["announced", "in chunks"])
async def test_a_body_that_is_too_long_is_not_held(
    upstream: Upstream, tmp_path: Path, is_announced: bool
) -> None:
    """F54 T20: 50 MB where 1 is allowed."""
    async with served(upstream, tmp_path, LLM_ROUTER_SERVER__MAX_BODY_MB="1") as (server, _):
        weight = await warmed(server)
        async with calling(server.url) as caller:
            if is_announced:
                caller.writer.write(request(b"", headers={"Content-Length": str(50 * MIB)}))
            else:
                head = request(b"", headers={"Transfer-Encoding": "chunked"})
                caller.writer.write(head.replace(b"Content-Length: 0\r\n", b""))
            reading = asyncio.ensure_future(caller.reply())
            for _ in range(50):
                part = MIB * b" "
                caller.writer.write(part if is_announced else b"100000\r\n" + part + b"\r\n")
                await asyncio.sleep(0)
            assert (await reading).status == 413
        assert weight.mib < 16


async def test_no_ten_kilobytes_weigh_more_than_a_megabyte(
    upstream: Upstream, tmp_path: Path
) -> None:
    """T24: a hundred of the worst bodies at a time."""
    async with served(upstream, tmp_path) as (server, _):
        await warmed(server)
        for body in shapes.NASTY_BODIES:
            weight = Weight(server)
            await asyncio.gather(*(post(server.url, body[: shapes.LONGEST]) for _ in range(100)))
            assert weight.mib < 100, body[:60]
