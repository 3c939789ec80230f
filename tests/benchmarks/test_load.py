"""The load generator counts what went well and what did not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice

import pytest

from benchmarks.load import Load
from benchmarks.prompts import Shape, requests
from benchmarks.upstream import Upstream


class Broken(Upstream):
    """Breaks the connection where the answer should be."""

    def data_received(self, data: bytes) -> None:
        self._transport.close()


class Garbled(Upstream):
    """Answers a plain request whatever it is asked for."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data.replace(b'"stream"', b'"screen"'))


@asynccontextmanager
async def listening(protocol: type[Upstream]) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    async with await loop.create_server(protocol, "127.0.0.1", 0) as server:
        yield "http://{}:{}/v1/chat/completions".format(*server.sockets[0].getsockname())


@pytest.mark.parametrize(
    "shape",
    [Shape(), Shape(is_stream=True, chunks=3, gap_ms=1), Shape(is_stream=True), Shape(body_kb=20)],
    ids=["plain", "stream", "stream without gaps", "long"],
)
async def test_what_the_upstream_sends_is_whole(shape: Shape) -> None:
    async with listening(Upstream) as url:
        result = await Load(url, shape, 3, None).run(0, 0.5)
    assert result.answered >= 3
    assert result.bad == 0
    assert bool(result.chunks) is shape.is_stream


@pytest.mark.parametrize("protocol", [Broken, Garbled])
async def test_what_goes_wrong_is_counted(protocol: type[Upstream]) -> None:
    async with listening(protocol) as url:
        result = await Load(url, Shape(is_stream=True), 3, None).run(0, 0.05)
    assert result.bad >= 3
    assert result.bad >= result.answered


@pytest.mark.parametrize("shape", [Shape(), Shape(body_kb=2)], ids=["short", "long"])
def test_no_two_prompts_are_alike(shape: Shape) -> None:
    asked = list(islice(requests("127.0.0.1", "/", shape), 1500))
    assert len(set(asked)) == len(asked)
    for request in asked[:50]:
        head, body = request.split(b"\r\n\r\n")
        assert head.endswith(b"Content-Length: %d" % len(body))
