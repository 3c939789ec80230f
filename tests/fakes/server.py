"""One handler behind the router's own server, for what happens on a connection.

async with serving(handler) as server:
    reader, writer = await server.connect()
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from llm_router.settings import DeadlineSettings
from llm_router.web.routes import Handler
from llm_router.web.server import Runner, headers_arrived

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


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
    is_narrow: bool = False,
) -> AsyncIterator[Server]:
    """`is_narrow`: the kernel buffers almost nothing for a client that does not read."""
    app = web.Application(middlewares=[headers_arrived], client_max_size=64 * 1024)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = Runner(app, deadlines or DeadlineSettings())
    await runner.setup()
    sock = socket.socket()
    if is_narrow:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    sock.bind(("127.0.0.1", 0))
    try:
        await web.SockSite(runner, sock).start()
        yield Server(sock.getsockname()[1], runner)
    finally:
        await runner.cleanup()
