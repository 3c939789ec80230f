"""The server itself: what happens on a connection before and around a handler."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from llm_router.settings import DeadlineSettings
from tests.fakes.server import GET, LITTLE, MUCH, Server, on_linux, read_slowly, serving
from tests.fakes.waiting import until

CLOSING = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
SLOW = DeadlineSettings(header_s=0.05)


async def ok(request: web.Request) -> web.StreamResponse:
    return web.Response(text=request.path)


async def send(server: Server, raw: bytes, *, then_eof: bool = False) -> bytes:
    """Return everything the server says to some bytes, until it closes."""
    reader, writer = await server.connect()
    writer.write(raw)
    if then_eof:
        writer.write_eof()
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


def error_in(answer: bytes) -> tuple[int, dict[str, Any]]:
    """Return status and error of an answer in the one shape."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nContent-Type: application/json; charset=utf-8\r\n" in head
    assert b"\r\nx-router-request-id: req_" in head
    document = json.loads(body)
    assert document.keys() == {"error"}
    status = int(head.split()[1])
    assert document["error"]["code"] == status
    return status, document["error"]


# Deadlines


async def test_headers_that_do_not_arrive_in_time_close_the_connection() -> None:
    """F53, T19: aiohttp would wait for ever."""
    async with serving(ok, SLOW) as server:
        assert await send(server, GET[:-2]) == b""


async def test_headers_that_trickle_in_are_no_better() -> None:
    """F53"""
    async with serving(ok, SLOW) as server:
        reader, writer = await server.connect()
        closed = asyncio.ensure_future(reader.read())
        async with asyncio.timeout(10):
            while not closed.done():
                writer.write(b"x")
                await asyncio.sleep(0.005)
        assert isinstance(closed.exception(), ConnectionError | None)
        writer.close()


async def test_a_connection_that_sends_nothing_is_left_alone() -> None:
    """F53: clients open them in advance."""
    async with serving(ok, SLOW) as server:
        reader, writer = await server.connect()
        await asyncio.sleep(0.15)
        writer.write(GET)
        assert (await reader.readline()).endswith(b" 200 OK\r\n")
        writer.close()


async def test_a_connection_is_left_alone_between_two_requests() -> None:
    async with serving(ok, SLOW) as server:
        reader, writer = await server.connect()
        for _ in range(2):
            writer.write(GET)
            assert (await reader.readuntil(b"\r\n\r\n")).endswith(b"\r\n\r\n")
            assert await reader.readexactly(1) == b"/"
            await asyncio.sleep(0.15)
        writer.close()


async def test_a_handler_may_take_longer_than_the_headers() -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        body = await request.text()
        await asyncio.sleep(0.15)
        return web.Response(text=body)

    async with serving(slow, SLOW) as server:
        reader, writer = await server.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nha")
        await asyncio.sleep(0.15)
        writer.write(b"lf")
        assert (await reader.readuntil(b"half")).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_an_idle_connection_is_closed_in_the_end() -> None:
    async with serving(ok, DeadlineSettings(connection_idle_s=0.05)) as server:
        assert (await send(server, GET)).endswith(b"/")


@pytest.mark.parametrize("is_cut", [False, True], ids=["whole answer", "cut answer"])
async def test_a_client_that_reads_nothing_of_an_answer_is_dropped(is_cut: bool) -> None:
    """F51: it would hold the answer in memory for as long as it likes."""

    async def big(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        assert request.transport is not None
        request.transport.write(b"x" * 5_000_000)
        if is_cut:
            raise ConnectionError("as the relay does")
        return response

    async with serving(big, DeadlineSettings(write_s=0.05), kernel_bytes=LITTLE) as server:
        sock = server.connect_narrowly()
        sock.sendall(GET)
        inner = server.runner.server
        assert inner is not None
        await until(lambda: inner.connections)
        await until(lambda: not inner.connections)
        sock.close()


@on_linux
async def test_a_client_that_reads_an_answer_slowly_gets_all_of_it() -> None:
    """F52"""
    body = b"x" * 1_200_000

    async def big(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    async with serving(big, DeadlineSettings(write_s=0.2), kernel_bytes=MUCH) as server:
        sock = server.connect_narrowly()
        sock.sendall(CLOSING)
        received = await asyncio.to_thread(read_slowly, sock)
        sock.close()
    assert received.endswith(b"\r\n\r\n" + body)


# Bytes that are no request

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CORPUS = {
    "garbage": b"garbage\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40 + b"\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "no version": b"GET / HTTP/x.y\r\nHost: a\r\n\r\n",
    "length and chunks": (
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "negative length": POST + b"Content-Length: -1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "odd encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
    "NUL": b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
    "a long line": b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("raw", CORPUS.values(), ids=CORPUS)
async def test_bytes_that_are_no_request_are_a_400_in_the_one_shape(raw: bytes) -> None:
    """F61, F62, T15: and the connection is closed, whatever follows."""
    async with serving(ok) as server:
        status, error = error_in(await send(server, raw + GET))
        assert status == 400
        assert error["type"] == "invalid_request"
        assert error["message"] == "This is not a valid HTTP/1.1 request."
        assert (
            await send(server, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        ).endswith(b"/")


async def test_bare_line_feeds_never_reach_a_handler() -> None:
    """F62: they are refused or waited for, but not taken for line ends."""

    async def never(request: web.Request) -> web.StreamResponse:
        raise AssertionError(request.path)

    async with serving(never, SLOW) as server:
        answer = await send(server, b"GET /smuggled HTTP/1.1\nHost: localhost\n\n")
        assert answer == b"" or error_in(answer)[0] == 400


async def test_requests_in_one_packet_are_answered_one_after_another() -> None:
    """F61"""
    order: list[str] = []

    async def slow_first(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.02 if request.path == "/1" else 0)
        order.append(request.path)
        return web.Response(text=request.path)

    requests = [GET.replace(b"/ ", b"/%d " % n) for n in (1, 2, 3)]
    requests[2] = CLOSING.replace(b"/ ", b"/3 ")
    async with serving(slow_first) as server:
        answer = await send(server, b"".join(requests))
    assert order == ["/1", "/2", "/3"]
    assert answer.count(b"HTTP/1.1 200 OK") == 3


# Handlers that break


async def test_a_handler_that_breaks_outside_the_middleware_is_a_500_without_details(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """T40"""

    async def breaks(request: web.Request) -> web.StreamResponse:
        raise KeyError("secret")

    async with serving(breaks) as server:
        status, error = error_in(await send(server, GET))
    assert (status, error["type"]) == (500, "internal")
    assert "secret" not in error["message"]
    assert "secret" in caplog.text


async def test_a_response_that_has_begun_can_only_be_cut() -> None:
    async def breaks(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        raise KeyError("oh")

    async with serving(breaks) as server:
        answer = await send(server, GET)
    assert answer.endswith(b"\r\n4\r\nhalf\r\n")


# Clients that leave


@pytest.mark.parametrize("how", ["resets", "closes", "half-closes"])
async def test_a_client_that_leaves_cancels_its_handler(how: str) -> None:
    """F47, F50: a generation would go on, and be paid for."""
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def waiting(request: web.Request) -> web.StreamResponse:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError

    async with serving(waiting) as server:
        _, writer = await server.connect()
        writer.write(GET)
        await began.wait()
        if how == "resets":
            writer.transport.abort()
        elif how == "closes":
            writer.close()
        else:
            writer.write_eof()
        await asyncio.wait_for(cancelled.wait(), 10)
        writer.close()


async def test_everything_is_closed_with_the_server() -> None:
    async with serving(ok) as server:
        reader, writer = await server.connect()
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        watch = server.runner._watch
        assert watch is not None
        assert not watch.done()
    assert await asyncio.wait_for(reader.read(), 10) == b"/"
    await until(watch.done)
    writer.close()


async def test_who_finds_no_room_is_told_so_and_does_not_take_it_from_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """F75: an answer, not a reset; and once somebody leaves, there is room."""
    monkeypatch.setattr("llm_router.web.server.most_clients", lambda: 2)
    async with serving(ok) as server:
        inside = [await server.connect() for _ in range(2)]
        for reader, writer in inside:
            writer.write(GET)
            assert await reader.readuntil(b"\r\n") == b"HTTP/1.1 200 OK\r\n"
        refused = await send(server, GET)
        assert refused.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"Retry-After: 5\r\n" in refused
        assert json.loads(refused.partition(b"\r\n\r\n")[2])["error"]["type"] == "unavailable"
        inside[0][1].close()
        await until(lambda: len(server.runner.clients()) < 2)
        assert (await send(server, CLOSING)).startswith(b"HTTP/1.1 200 OK\r\n")
        inside[1][1].close()


async def test_who_was_turned_away_cannot_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """F75: nor by never closing."""
    monkeypatch.setattr("llm_router.web.server.most_clients", lambda: 0)
    monkeypatch.setattr("llm_router.web.turned_away._LINGER_S", 0.01)
    async with serving(ok) as server:
        reader, writer = await server.connect()
        await reader.read()
        with pytest.raises(ConnectionError):
            await write_for_ever(writer)
        writer.close()


async def write_for_ever(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()
