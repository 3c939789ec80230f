"""A request on a lane, as whoever answers it sees it: its head, its body, and the way back.

How the bytes of a request get here, and when the next one begins, is `lane`'s.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from llm_router.errors import RequestTimeout
from llm_router.web.preface import Preface
from llm_router.web.reply import render_head
from llm_router.web.responses import CLOSING, JSON

_JSON = f"Content-Type: {JSON['Content-Type']}\r\n"


class LaneRequest:
    """One request after another, each with its answer: also the request's `Outlet`.

    What was learned of a head holds for as long as the client sends the same one again: `headers`,
    and the `preface` that whoever answers has read in them.
    """

    is_chunked = True

    def __init__(self, body_s: float, is_ending: Callable[[], bool]) -> None:
        self.headers: Mapping[str, str] = {}
        self.preface: Preface | None = None
        self.transport: asyncio.Transport | None = None
        self.has_begun = False  # the answer, with its head
        self._body_s = body_s
        self._is_ending = is_ending
        self._loop = asyncio.get_running_loop()
        self._body: list[bytes] = []  # what of it has arrived
        self._missing = 0  # of the body
        self._arrived: asyncio.Future[None] | None = None
        self._is_whole = False  # the answer, to its last byte
        self._closes = False  # the connection, after this answer
        self._writable: asyncio.Future[None] | None = None

    # The request

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default if self.transport is None else self.transport.get_extra_info(name, default)

    async def body(self) -> bytes:
        """Return the body. Raises RequestTimeout."""
        if self._missing:
            self._arrived = self._loop.create_future()
            try:
                async with asyncio.timeout(self._body_s):
                    await self._arrived
            except TimeoutError:
                message = f"The body did not arrive within {self._body_s:g} s."
                raise RequestTimeout(message) from None
            finally:
                self._arrived = None
        body = b"".join(self._body)  # a single piece is not copied
        self._body.clear()
        return body

    # The answer

    async def whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        if self._missing or status in CLOSING:  # what is left of a body is not worth waiting for
            self._closes = True
        content_type = "" if "Content-Type" in headers else _JSON
        self._write(status, headers, f"{content_type}Content-Length: {len(body)}\r\n", body)
        self._is_whole = True
        if self._writable is not None:
            await self.drain()

    async def open(self, headers: Mapping[str, str]) -> None:
        self._write(200, headers, "Transfer-Encoding: chunked\r\n")

    async def drain(self) -> None:
        if self._writable is not None:
            await asyncio.shield(self._writable)
        self._open_transport()

    async def end(self) -> None:
        self._open_transport().write(b"0\r\n\r\n")
        self._is_whole = True
        await self.drain()

    def _write(
        self, status: int, headers: Mapping[str, str], framing: str, body: bytes = b""
    ) -> None:
        """Begin the answer. One that broke must not be followed by another in its midst."""
        if self.has_begun:
            raise ConnectionError("The answer has begun; it can only be cut.")
        transport = self._open_transport()
        closes = self._closes = self._closes or self._is_ending()
        transport.write(render_head(status, headers, framing, closes=closes) + body)
        self.has_begun = True

    def _open_transport(self) -> asyncio.Transport:
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("The client left.")
        return self.transport

    # asyncio's callbacks

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None:
            writable.set_result(None)
