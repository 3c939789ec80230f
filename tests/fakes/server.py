"""One handler behind the router's own server, for what happens on a connection.

async with serving(handler) as server:
    reader, writer = await server.connect()
"""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiohttp import web

from llm_router.settings import DeadlineSettings
from llm_router.web.lane import Service
from llm_router.web.routes import Handler
from llm_router.web.server import Runner, headers_arrived

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux says what a client has taken"
)
LITTLE = 64 * 1024
MUCH = 512 * 1024


@dataclass(frozen=True)
class Server:
    port: int
    runner: Runner

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    def connect_narrowly(self) -> socket.socket:
        """A socket that takes in almost nothing until it is read from."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        sock.connect(("127.0.0.1", self.port))
        return sock


@asynccontextmanager
async def serving(
    handler: Handler,
    deadlines: DeadlineSettings | None = None,
    *,
    chat: Service | None = None,
    kernel_bytes: int | None = None,
) -> AsyncIterator[Server]:
    """`chat` serves what comes on lanes. `kernel_bytes` is about half of what the kernel buffers
    for a client that does not read.
    """
    app = web.Application(middlewares=[headers_arrived], client_max_size=64 * 1024)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = Runner(app, deadlines or DeadlineSettings(), chat)
    await runner.setup()
    sock = socket.socket()
    if kernel_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, kernel_bytes)
    sock.bind(("127.0.0.1", 0))
    try:
        await web.SockSite(runner, sock).start()
        yield Server(sock.getsockname()[1], runner)
    finally:
        await runner.cleanup()


def read_slowly(sock: socket.socket) -> bytes:
    """Read to the end, taking a quarter of a second and more for each third of a megabyte.

    That is more than the kernel waits for before it takes anything new (a third of its buffer), so
    behind `kernel_bytes=MUCH` the server's own buffer stands still for longer than that.
    """
    data = bytearray()
    while block := sock.recv(65_536):
        data += block
        time.sleep(0.05)
    return bytes(data)
