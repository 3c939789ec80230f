"""A client's connection for as long as it chats and nothing else: no framework between.

Nearly every request is a POST with a Content-Length to a chat route, and aiohttp's server would be
a third of what such a request costs. Whatever else arrives, or arrives oddly, goes with all its
bytes to aiohttp's server (`hand_over`), and the connection stays there.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast

from msgspec import Struct

from llm_router.errors import ClientGone
from llm_router.web.head import LIMIT_BYTES, Form, form_of, may_be_chat, parse_head
from llm_router.web.lane_request import LaneRequest
from llm_router.web.pace import Pace

log = logging.getLogger(__name__)

_AHEAD_BYTES = 64 * 1024  # what a client may send before its former answer is complete
_END_OF_HEAD = b"\r\n\r\n"


class Service(Struct, frozen=True):
    """What lanes are for: `answer` answers the request that has arrived on one.

    Bodies must be whole `body_s` after their heads. A ConnectionError that `answer` raises cuts
    the connection, so that nobody takes the answer for a whole one. Once `is_ending`, each answer
    that begins is its connection's last.
    """

    answer: Callable[["Lane"], Awaitable[None]]
    body_s: float
    body_bytes: int
    is_ending: Callable[[], bool] = lambda: False


class Lane(LaneRequest, asyncio.Protocol):
    """Serves one request after another, in one task of its own."""

    def __init__(
        self,
        service: Service,
        hand_over: Callable[[asyncio.Transport, bytes, Pace], None],
        lanes: "set[Lane]",
        pace: Pace,
    ) -> None:
        super().__init__(service.body_s, service.is_ending)
        self.pace = pace
        self._service = service
        self._hand_over = hand_over
        self._lanes = lanes
        self._form: Form | None = None  # of the head that `headers` come from
        self._keeps_alive = True  # as that head says
        self._ahead = b""  # read, but not yet part of a request
        self._task: asyncio.Task[None] | None = None  # from the first request on
        self._next_begins: asyncio.Future[None] | None = None  # what it waits for between two
        self._is_busy = False  # with a request

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._lanes.add(self)
        self.pace.rests(self._loop.time())
        # A client that vanished without a word must not hold a connection for ever.
        sock = transport.get_extra_info("socket")
        if sock is not None:
            with suppress(OSError):  # where the client has left already, some systems say so here
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        if not self._is_busy:
            if not self._closes:
                self._next(self._ahead + data)
        elif self._missing:
            self._take(data)
            if not self._missing and self._arrived is not None and not self._arrived.done():
                self._arrived.set_result(None)
        else:
            self._ahead += data
            if len(self._ahead) > _AHEAD_BYTES and self.transport is not None:
                self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._lanes.discard(self)
        self.resume_writing()
        if self._task is not None:
            self._task.cancel()

    # From one request to the next

    def _next(self, data: bytes) -> None:
        """Begin with the request that `data` begins with, or leave the connection to others."""
        form = self._form
        read = None if form is None else form.read(data)
        if read is None:
            read = self._read_head(data)
        if read is None or read[0] > self._service.body_bytes:
            self._wait(data)
            return
        self._missing, begins = read
        self._ahead = b""
        self._take(data[begins:])
        self.pace.begins()
        self.has_begun = self._is_whole = False
        self._closes = not self._keeps_alive
        self._is_busy = True
        if self._task is None:
            self._task = self._loop.create_task(self._run())
        elif self._next_begins is not None:
            self._next_begins.set_result(None)
            self._next_begins = None

    def _wait(self, data: bytes) -> None:
        """Wait for the rest of a head, unless what there is of it is not ordinary."""
        self._ahead = data
        is_whole = data.find(_END_OF_HEAD, 0, LIMIT_BYTES) >= 0
        if is_whole or len(data) >= LIMIT_BYTES or not may_be_chat(data):
            self._leave()
        else:
            self.pace.received(self._loop.time())

    def _read_head(self, data: bytes) -> tuple[int, int] | None:
        """Return how long the body will be, and where it begins; None without an ordinary head."""
        end = data.find(_END_OF_HEAD, 0, LIMIT_BYTES) + len(_END_OF_HEAD)
        if end < len(_END_OF_HEAD) or (head := parse_head(data[:end])) is None:
            return None
        self.headers, self.preface = head.headers, None
        self._form, self._keeps_alive = form_of(data[:end]), head.keeps_alive
        return head.body_bytes, end

    def _take(self, data: bytes) -> None:
        """Add what was read to the body; what follows it belongs to the next request."""
        missing = self._missing - len(data)
        if missing < 0:
            data, self._ahead, missing = data[:missing], data[missing:], 0
        self._body.append(data)
        self._missing = missing

    async def _run(self) -> None:
        while True:
            try:
                await self._service.answer(self)
            except (ClientGone, ConnectionError):
                self._closes = True
            except asyncio.CancelledError:
                self.drop()
            except Exception:
                self._closes = True
                log.exception("a chat request failed outside its handler")
            self._is_busy = False
            self._body.clear()
            if not self._goes_on():
                return
            if self._is_busy:
                await asyncio.sleep(0)  # a client that sends many at once is not the only one
            else:
                self._next_begins = self._loop.create_future()
                await self._next_begins

    def _goes_on(self) -> bool:
        """Say whether the connection does; the next request may have begun already."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        now = self._loop.time()
        if self._is_whole and self._missing:
            # A connection that is closed with something unread is reset, and that may overtake
            # the answer (RFC 9112, 9.6); so the client closes first.
            transport.write_eof()
            self.pace.lingers(now)
            return False
        if self._closes or not self._is_whole:
            transport.close()
            return False
        self.pace.rests(now)
        if self._ahead:
            transport.resume_reading()
            self._next(self._ahead)
        return True

    def _leave(self) -> None:
        """Let aiohttp's server have the connection."""
        assert self.transport is not None
        self._lanes.discard(self)
        if self._task is not None:
            self._task.cancel()
        self._hand_over(self.transport, self._ahead, self.pace)

    # The server's side

    def close(self) -> None:
        """Close once no request is being answered."""
        self._closes = True
        if not self._is_busy and self.transport is not None:
            self.transport.close()

    async def shutdown(self, timeout: float | None) -> None:  # noqa: ASYNC109 -- aiohttp's name
        """Close; a request that is not answered in `timeout` seconds is cancelled."""
        self.close()
        if (task := self._task) is None or not self._is_busy:
            return
        _, late = await asyncio.wait((task,), timeout=timeout)
        if late:
            task.cancel()
            await asyncio.wait((task,), timeout=timeout)
            self.drop()

    def drop(self) -> None:
        """Close without waiting for the client to take what is unsent."""
        if self.transport is not None:
            self.transport.abort()
