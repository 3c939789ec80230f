"""A TCP server that writes scripted bytes: for HTTP that is illegal, cut short, or late.

    async with running_chaos([REQUEST, b"HTTP/1.1 200 OK\\r\\n\\r\\ndata: {", RST]) as chaos:
        ... talk to chaos.url ...
        chaos.connections[0].received, chaos.connections[0].ended

Each connection plays the next script; the last one repeats. A script is a list of steps: bytes to
write, an `asyncio.Event` to wait for, or one of the words below. A script that ends closes.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import cast

from llm_router.tasks import spawn


class Do(Enum):
    REQUEST = auto()  # wait for one more request: its head and, by Content-Length, its body
    RST = auto()
    FIN = auto()  # close our side only and go on reading
    HANG = auto()  # until the peer leaves


REQUEST, RST, FIN, HANG = Do
Step = bytes | asyncio.Event | Do


class Connection(asyncio.Protocol):
    """One connection: all that came in, and how it ended, once `over` is set.

    "eof": the peer's FIN; "reset": its RST; "closed": our own doing. `written` counts the bytes of
    the steps that the peer has made room for.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self.received = bytearray()
        self.written = 0
        self.ended: str | None = None
        self.over = asyncio.Event()
        self._steps = steps
        self._consumed = 0
        self._more = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._task = spawn(self._play(), name="chaos")

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._more.set()

    def eof_received(self) -> None:
        self._end("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("closed" if exc is None else "reset")
        self._task.cancel()

    def pause_writing(self) -> None:
        self._has_room.clear()

    def resume_writing(self) -> None:
        self._has_room.set()

    def abort(self) -> None:
        self._task.cancel()
        self._transport.abort()

    def requests(self) -> list[tuple[bytes, bytes]]:
        """Return the request line and the body of each request that has arrived whole."""
        found, rest = [], bytes(self.received)
        while (size := _request_size(rest)) is not None:
            head, _, body = rest[:size].partition(b"\r\n\r\n")
            found.append((head.partition(b"\r\n")[0], body))
            rest = rest[size:]
        return found

    def _end(self, how: str) -> None:
        self.ended = self.ended or how
        self.over.set()

    async def _play(self) -> None:
        for step in self._steps:
            if isinstance(step, bytes):
                self._transport.write(step)
                await self._has_room.wait()
                self.written += len(step)
            elif isinstance(step, asyncio.Event):
                await step.wait()
            elif step is REQUEST:
                await self._request()
            elif step is FIN:
                self._transport.write_eof()
            elif step is RST:
                sock = self._transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._transport.abort()
            else:
                await self.over.wait()
        self._transport.close()

    async def _request(self) -> None:
        while (size := _request_size(bytes(self.received[self._consumed :]))) is None:
            self._more.clear()
            await self._more.wait()
        self._consumed += size


def _request_size(data: bytes) -> int | None:
    head, blank, body = data.partition(b"\r\n\r\n")
    lengths = (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    length = int(next(lengths, b":0").partition(b":")[2]) if blank else 0
    return len(head) + 4 + length if blank and len(body) >= length else None


class Chaos:
    def __init__(self, scripts: Sequence[Sequence[Step]]) -> None:
        self.connections: list[Connection] = []
        self.url = ""  # without a path
        self._scripts = scripts
        self._came = asyncio.Event()

    async def until_connected(self) -> None:
        await self._came.wait()

    def accept(self) -> Connection:
        script = self._scripts[min(len(self.connections), len(self._scripts) - 1)]
        self.connections.append(Connection(script))
        self._came.set()
        return self.connections[-1]


@asynccontextmanager
async def running_chaos(*scripts: Sequence[Step]) -> AsyncIterator[Chaos]:
    chaos = Chaos(scripts)
    server = await asyncio.get_running_loop().create_server(chaos.accept, "127.0.0.1", 0)
    chaos.url = "http://{}:{}".format(*server.sockets[0].getsockname())
    try:
        yield chaos
    finally:
        server.close()
        for connection in chaos.connections:
            connection.abort()
