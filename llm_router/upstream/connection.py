"""One HTTP/1.1 connection to the provider: httptools' parser, and when it may be used again."""

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

from llm_router.errors import UpstreamError
from llm_router.routing.failures import FailureClass
from llm_router.upstream.headers import Headers
from llm_router.upstream.response import UpstreamResponse

_HEADER_BYTES = 64 * 1024
_HEADER_COUNT = 256
_INTERIM_RESPONSES = 8
_STALE_S = 1.0  # a connection that had died says so at once; later, work may have begun


class Connection(asyncio.Protocol):
    """Serves one request after another; `on_idle` is told when it can take the next."""

    def __init__(self, on_idle: Callable[["Connection"], None]) -> None:
        self.idle_since = 0.0
        self.is_used = False  # has served before: a reset now may be the pool's fault
        self._on_idle = on_idle
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._head: asyncio.Future[UpstreamResponse] | None = None
        self._response: UpstreamResponse | None = None
        self._latest: UpstreamResponse | None = None
        self._read = b""  # of an answer's head
        self._framing_bytes = 0  # of what was read since the last of the body
        self._interim = 0
        self._body: list[bytes] = []
        self.on_body = self._body.append  # called by the parser, for each piece
        self._parser = httptools.HttpResponseParser(self)
        self._sent_at = 0.0
        self._is_message_over = False
        self._closes = False
        self._is_paused = False

    def is_open(self) -> bool:
        transport = self._transport
        return transport is not None and not transport.is_closing()

    async def request(self, *pieces: bytes | memoryview) -> UpstreamResponse:
        """Send a request and return at the response's headers. Raises UpstreamError."""
        transport = self._transport
        if transport is None:
            raise self._broken_before_answer()
        loop = self._loop
        head: asyncio.Future[UpstreamResponse] = loop.create_future()
        self._head = head
        self._interim = self._framing_bytes = 0
        self._sent_at = loop.time()
        if len(pieces) == 1:
            transport.write(pieces[0])
        else:
            transport.writelines(pieces)
        try:
            return await head
        except asyncio.CancelledError:
            self.abort()
            raise

    def abort(self) -> None:
        """Break the connection off now; the provider notices and stops generating."""
        if self._transport is not None:
            self._transport.abort()

    def discard(self, response: UpstreamResponse) -> None:
        """Abort, unless the connection serves somebody else by now."""
        if self._latest is response and self._head is None:
            self.abort()

    def pause(self) -> None:
        self._is_paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        self._is_paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._response is None:
            if self._head is None:
                self.abort()  # nobody asked
                return
            self._read += data
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._deliver()
            if self._is_message_over:  # the answer is whole; what follows it nobody asked for
                self._closes = True
                self._finish()
            self._refuse("The answer was not valid HTTP.")
            return
        if self._body:
            self._deliver()
        elif not self._is_message_over:
            self._framing_bytes += len(data)
            if self._framing_bytes > _HEADER_BYTES:
                self._refuse("The answer's headers do not end.")
        if self._is_message_over:
            self._finish()

    def eof_received(self) -> None:
        if self._ends_with_connection():
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if exc is None and self._ends_with_connection():
            self._finish()
        self._fail("The connection broke.", is_reset=exc is not None)

    # The parser's callbacks

    def on_message_begin(self) -> None:
        if self._is_message_over:
            raise ValueError("a second answer")

    def on_headers_complete(self) -> None:
        """The parser vouches for the head by now, so its lines are what they look like."""
        read = self._read.lstrip(b"\r\n")
        end = read.find(b"\r\n\r\n")
        if end > _HEADER_BYTES or read.count(b"\r\n", 0, end) > _HEADER_COUNT:
            raise ValueError("too many headers")
        status = self._parser.get_status_code()
        self._read = b""
        if status < 200:
            self._read = read[end + 4 :]
            self._interim += 1
            if self._interim > _INTERIM_RESPONSES:
                raise ValueError("too many interim responses")
            return
        self._closes = not self._parser.should_keep_alive()
        response = UpstreamResponse(self, status, Headers(read[: end + 2]))
        self._response = self._latest = response
        head, self._head = self._head, None
        if head is not None and not head.done():
            head.set_result(response)

    def on_message_complete(self) -> None:
        if self._response is not None:
            self._is_message_over = True

    # How an answer ends

    def _ends_with_connection(self) -> bool:
        """Whether the answer that is arriving says nothing of its length."""
        response = self._response
        if response is None or response.status in (204, 304):
            return False
        return "Content-Length" not in response.headers and (
            "Transfer-Encoding" not in response.headers
        )

    def _deliver(self) -> None:
        """Hand on what one read brought, in one piece."""
        body, response = self._body, self._response
        self._framing_bytes = 0
        if response is not None:
            response.feed(b"".join(body))  # a single piece is not copied
        body.clear()

    def _finish(self) -> None:
        """The answer is whole: let go of it, and be idle or gone."""
        response, self._response = self._response, None
        transport = self._transport
        is_reusable = (
            self._is_message_over
            and not self._closes
            and transport is not None
            and not transport.is_closing()
            and not transport.get_write_buffer_size()  # it answered before it had read all
        )
        self._is_message_over = False
        if response is not None:
            response.end()
        if is_reusable:
            if self._is_paused:
                self.resume()
            self.is_used = True
            self._on_idle(self)
        else:
            self.abort()

    def _refuse(self, message: str) -> None:
        self._fail(message)
        self.abort()

    def _fail(self, message: str, *, is_reset: bool = True) -> None:
        head, self._head = self._head, None
        response, self._response = self._response, None
        if head is not None and not head.done():
            head.set_exception(self._broken_before_answer(message))
        if response is not None:
            kind = FailureClass.RESET_MID if is_reset else FailureClass.TRUNCATED
            response.fail(UpstreamError(kind, message))

    def _broken_before_answer(self, message: str = "The connection broke.") -> UpstreamError:
        age_s = self._loop.time() - self._sent_at
        has_begun = self._read or self._interim  # to answer
        if self.is_used and not has_begun and age_s < _STALE_S:
            return UpstreamError(FailureClass.STALE_CONNECTION, "A pooled connection had died.")
        return UpstreamError(FailureClass.NO_RESPONSE, f"No answer: {message}")
