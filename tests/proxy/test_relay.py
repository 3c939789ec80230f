"""The client's side of a stream, on real connections."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from aiohttp import web

from llm_router.errors import ClientGone
from llm_router.proxy.relay import KEEP_ALIVE, ClientStream, ResponseCut
from llm_router.settings import DeadlineSettings, ServerSettings, Settings
from llm_router.web.lane import Lane, Service
from llm_router.web.outlet import AiohttpOutlet
from tests.fakes.server import GET, LITTLE, MUCH, Server, on_linux, read_slowly, serving

HEADERS = {"x-router-request-id": "req_1"}
CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
ASKING = {"with": GET}
LAST_CHUNK = b"0\r\n\r\n"
Talk = Callable[[ClientStream], Awaitable[None]]


def settings(keepalive_s: float = 60, write_s: float = 30) -> Settings:
    return Settings(
        server=ServerSettings(keepalive_s=keepalive_s), deadlines=DeadlineSettings(write_s=write_s)
    )


def handling(talk: Talk, options: Settings | None = None) -> Any:
    async def handler(request: web.Request) -> web.StreamResponse:
        outlet = AiohttpOutlet(request)
        await talk(ClientStream(outlet, options or settings()))
        assert outlet.response is not None
        return outlet.response

    return handler


def talking(
    talk: Talk, options: Settings | None = None, *, kernel_bytes: int | None = None
) -> AbstractAsyncContextManager[Server]:
    """Serve `talk` both ways; the request decides which one it takes."""

    async def on_lane(lane: Lane) -> None:
        await talk(ClientStream(lane, options or settings()))

    chat = Service(on_lane, body_s=10, body_bytes=LITTLE)
    return serving(handling(talk, options), chat=chat, kernel_bytes=kernel_bytes)


@pytest.fixture(params=[GET, CHAT], ids=["aiohttp", "lane"], autouse=True)
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ASKING, "with", request.param)


async def ask(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await server.connect()
    writer.write(ASKING["with"])
    return reader, writer


async def received(talk: Talk, options: Settings | None = None) -> tuple[bytes, bytes, bool]:
    """Return the head, the body and whether it was ended, of what a client got."""
    async with talking(talk, options) as server:
        reader, writer = await ask(server)
        head = await reader.readuntil(b"\r\n\r\n")
        body, is_whole = b"", False
        while size := await reader.readline():
            if int(size, 16) == 0:
                is_whole = True
                break
            body += await reader.readexactly(int(size, 16))
            assert await reader.readexactly(2) == b"\r\n"
        writer.close()
        return head, body, is_whole


# Opening and ending


async def test_nothing_is_sent_before_it_is_opened_and_then_at_once() -> None:
    go = asyncio.Event()
    opened = []

    async def talk(client: ClientStream) -> None:
        opened.append(client.is_open)
        await client.open(HEADERS)
        opened.append(client.is_open)
        await client.write(b"data: 1\n\n")
        await go.wait()
        await client.end()

    async with talking(talk) as server:
        reader, writer = await ask(server)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("http/1.1 200 ")
        for line in (
            "content-type: text/event-stream\r\n",
            "cache-control: no-cache\r\n",
            "x-accel-buffering: no\r\n",
            "x-router-request-id: req_1\r\n",
            "transfer-encoding: chunked\r\n",
        ):
            assert line in head
        assert await reader.readexactly(14) == b"9\r\ndata: 1\n\n\r\n"
        go.set()
        assert await reader.readexactly(5) == LAST_CHUNK
        writer.close()
    assert opened == [False, True]


async def test_it_is_opened_once() -> None:
    async def talk(client: ClientStream) -> None:
        await client.open(HEADERS)
        await client.open({"x-router-request-id": "another"})
        await client.write(b"x")
        await client.end()

    head, body, is_whole = await received(talk)
    assert b"req_1" in head
    assert b"another" not in head
    assert (body, is_whole) == (b"x", True)


async def test_what_is_too_large_to_be_written_at_once_arrives_whole() -> None:
    block = b"x" * 300_000

    async def talk(client: ClientStream) -> None:
        await client.open({})
        await client.write(block)
        await client.write(b"end")
        await client.end()

    assert (await received(talk))[1:] == (block + b"end", True)


async def test_a_cut_tells_the_client_and_is_no_end() -> None:
    """F21: the error event and the missing last chunk are the pair that every client notices."""

    async def talk(client: ClientStream) -> None:
        await client.open({})
        await client.write(b"data: 1\n\n")
        raise await client.cut({"error": {"message": "broke", "code": 502}})

    _, body, is_whole = await received(talk)
    assert body == b'data: 1\n\ndata: {"error":{"message":"broke","code":502}}\n\n'
    assert not is_whole


async def test_a_cut_behind_the_providers_own_error_adds_nothing() -> None:
    async def talk(client: ClientStream) -> None:
        await client.open({})
        await client.write(b"data: 1\n\n")
        raise await client.cut(None)

    assert (await received(talk))[1:] == (b"data: 1\n\n", False)


# Keep-alive


async def test_comments_flow_while_nobody_answers_and_stop_when_somebody_does() -> None:
    """F18"""
    go, stopped = asyncio.Event(), asyncio.Event()

    async def talk(client: ClientStream) -> None:
        client.keep_alive(lambda: HEADERS)
        await go.wait()
        await client.stop_keep_alive()
        assert client.is_open
        stopped.set()
        await asyncio.sleep(0.02)  # in which comments would come
        await client.write(b"data: 1\n\n")
        await client.end()

    async with talking(talk, settings(keepalive_s=0.001)) as server:
        reader, writer = await ask(server)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"req_1" in head
        comment = b"%x\r\n%s\r\n" % (len(KEEP_ALIVE), KEEP_ALIVE)
        assert await reader.readexactly(2 * len(comment)) == 2 * comment
        go.set()
        await stopped.wait()
        rest = (await reader.readuntil(LAST_CHUNK)).removesuffix(LAST_CHUNK)
        assert rest.replace(comment, b"") == b"9\r\ndata: 1\n\n\r\n"
        assert rest.endswith(b"9\r\ndata: 1\n\n\r\n")
        writer.close()


async def test_an_answer_in_time_needs_no_comment() -> None:
    async def talk(client: ClientStream) -> None:
        client.keep_alive(lambda: pytest.fail("the response was opened"))
        await client.stop_keep_alive()
        assert not client.is_open
        await client.open({})
        await client.end()

    assert (await received(talk, settings(keepalive_s=0.001)))[1:] == (b"", True)


async def test_stopping_what_never_began_is_nothing() -> None:
    async def talk(client: ClientStream) -> None:
        await client.stop_keep_alive()
        await client.whole({}, b"ok")

    async with talking(talk) as server:
        reader, writer = await ask(server)
        assert (await reader.readline()).endswith(b"200 OK\r\n")
        writer.close()


async def test_a_cancellation_while_comments_are_stopped_is_not_lost() -> None:
    """F47: the ticker is cancelled too, and the two must not be taken for each other."""
    outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def talk(client: ClientStream) -> None:
        client.keep_alive(dict)
        while not client.is_open:  # noqa: ASYNC110 - it opens by itself
            await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await client.stop_keep_alive()
        except asyncio.CancelledError:
            outcome.set_result("cancelled")
            raise
        outcome.set_result("went on")
        await client.end()

    async with talking(talk, settings(keepalive_s=0.001)) as server:
        _, writer = await ask(server)
        assert await asyncio.wait_for(outcome, 10) == "cancelled"
        writer.close()


# Clients that leave or do not read


async def gone(talk: Talk, options: Settings | None = None) -> ClientGone:
    """Return what is raised for a client that resets its connection while `talk` waits."""
    outcome: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def shielded(client: ClientStream) -> None:
        async def inner() -> None:
            try:
                await talk(client)
            except BaseException as exc:
                outcome.set_result(exc)
                raise

        # The server cancels the handler, but what is tried here is the write.
        task = asyncio.ensure_future(inner())
        try:
            await asyncio.shield(task)
        finally:
            await asyncio.wait((task,))
            task.exception()
        raise AssertionError

    async with talking(shielded, options) as server:
        _, writer = await ask(server)
        await asyncio.sleep(0.01)
        writer.transport.abort()
        error = await asyncio.wait_for(outcome, 10)
    assert isinstance(error, ClientGone), error
    return error


async def test_a_write_to_a_client_that_left_says_so() -> None:
    """F48: never evidence about a model."""

    async def talk(client: ClientStream) -> None:
        await client.open({})
        while True:
            await client.write(b"data: 1\n\n")
            await asyncio.sleep(0)

    assert str(await gone(talk)) == "The client left."


async def test_opening_to_a_client_that_left_says_so() -> None:
    """F47"""

    async def talk(client: ClientStream) -> None:
        await until_gone(client)
        await client.open({})
        raise AssertionError

    assert str(await gone(talk)) == "The client left."


async def test_ending_for_a_client_that_left_says_so() -> None:
    """F49"""

    async def talk(client: ClientStream) -> None:
        await client.open({})
        await until_gone(client)
        await client.end()

    assert str(await gone(talk)) == "The client left."


async def test_a_cut_for_a_client_that_left_is_still_a_cut() -> None:
    cuts: list[ResponseCut] = []

    async def talk(client: ClientStream) -> None:
        await client.open({})
        await until_gone(client)
        cuts.append(await client.cut({"error": {}}))
        raise ClientGone("as expected")

    await gone(talk)
    assert str(cuts[0]) == "The client left before it could be told."


async def test_comments_for_a_client_that_left_end_quietly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def talk(client: ClientStream) -> None:
        client.keep_alive(dict)
        await until_gone(client)
        await asyncio.sleep(0.01)
        await client.stop_keep_alive()
        raise ClientGone("as expected")

    await gone(talk, settings(keepalive_s=0.001))
    assert caplog.records == []


async def until_gone(client: ClientStream) -> None:
    while client._outlet.transport is not None:  # noqa: ASYNC110 - transports have no event
        await asyncio.sleep(0)


async def test_a_client_that_reads_nothing_is_cut_off() -> None:
    """F51: aiohttp would wait for ever."""
    outcome: asyncio.Future[ClientGone] = asyncio.get_running_loop().create_future()

    async def talk(client: ClientStream) -> None:
        await client.open({})
        try:
            while True:
                await client.write(b"x" * 16_384)
        except ClientGone as exc:
            outcome.set_result(exc)
            raise

    options = settings(write_s=0.05)
    async with talking(talk, options, kernel_bytes=LITTLE) as server:
        sock = server.connect_narrowly()
        sock.sendall(ASKING["with"])
        assert str(await asyncio.wait_for(outcome, 10)) == "The client read nothing for 0.05 s."
        assert not (await asyncio.to_thread(read_all, sock)).endswith(LAST_CHUNK)
        sock.close()


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while block := sock.recv(65_536):
        data += block
    return data


@on_linux
async def test_a_client_that_reads_slowly_gets_everything() -> None:
    """F52: one write may take many times the deadline, as long as something moves."""
    block = bytes(range(256)) * 7_000

    async def talk(client: ClientStream) -> None:
        await client.open({})
        await client.write(block)
        await client.end()

    async with talking(talk, settings(write_s=0.2), kernel_bytes=MUCH) as server:
        sock = server.connect_narrowly()
        sock.sendall(ASKING["with"].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        received = await asyncio.to_thread(read_slowly, sock)
        sock.close()
    body = received.partition(b"\r\n\r\n")[2]
    assert body == b"%x\r\n%s\r\n" % (len(block), block) + LAST_CHUNK


async def test_after_a_slow_write_a_cancelled_one_leaves_no_trace() -> None:
    """F67: a request cut at shutdown still tells its client, however slowly that one reads."""
    block = b"x" * 400_000
    waiting, told = asyncio.Event(), asyncio.Event()
    tasks: list[asyncio.Task[Any]] = []

    async def talk(client: ClientStream) -> None:
        tasks.extend(filter(None, [asyncio.current_task()]))
        await client.open({})
        waiting.set()
        try:
            await client.write(block)
        except asyncio.CancelledError:
            told.set()
            raise await client.cut({"error": {"code": 502}}) from None
        raise AssertionError("nobody cancelled the write")

    async with talking(talk, kernel_bytes=LITTLE) as server:
        sock = server.connect_narrowly()
        sock.sendall(ASKING["with"])
        await waiting.wait()
        tasks[0].cancel()
        await told.wait()
        assert (await asyncio.to_thread(read_all, sock)).endswith(
            b'data: {"error":{"code":502}}\n\n\r\n'
        )
        sock.close()
