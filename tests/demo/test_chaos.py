"""The raw server of the tests does what its script says."""

import asyncio
import socket
import struct

import pytest

from tests.fakes.chaos import FIN, HANG, REQUEST, RST, running_chaos

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n"


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def test_it_answers_after_a_whole_request() -> None:
    go = asyncio.Event()
    async with running_chaos([REQUEST, OK, REQUEST, go, OK, HANG]) as chaos:
        reader, writer = await connect(chaos.url)
        writer.write(POST)
        await writer.drain()
        writer.write(b"body")
        assert await reader.readexactly(len(OK)) == OK
        writer.write(GET)
        go.set()
        assert await reader.readexactly(len(OK)) == OK
        writer.close()
        (connection,) = chaos.connections
        await connection.over.wait()
    assert bytes(connection.received) == POST + b"body" + GET
    assert connection.ended == "eof"


async def test_it_resets() -> None:
    async with running_chaos([b"HTTP/1.1 2", RST]) as chaos:
        reader, writer = await connect(chaos.url)
        with pytest.raises(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


async def test_it_half_closes_and_reads_on() -> None:
    async with running_chaos([FIN, REQUEST], [OK]) as chaos:
        reader, writer = await connect(chaos.url)
        assert await reader.read() == b""
        writer.write(GET)
        await chaos.connections[0].over.wait()
        assert bytes(chaos.connections[0].received) == GET
        assert chaos.connections[0].ended == "closed"
        again, other = await connect(chaos.url)
        assert await again.read() == OK
        writer.close()
        other.close()


async def test_it_sees_a_reset() -> None:
    async with running_chaos([OK, HANG]) as chaos:
        reader, writer = await connect(chaos.url)
        assert await reader.readexactly(len(OK)) == OK
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await chaos.connections[0].over.wait()
        assert chaos.connections[0].ended == "reset"
