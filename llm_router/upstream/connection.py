"""One HTTP/1.1 connection to the provider: httptools' parser, and when it may be used again."""

import asyncio
from collections.abc import Callable
from typing import cast

import httptools
from multidict import CIMultiDict

from llm_router.errors import UpstreamError
from llm_router.routing.failures import FailureClass
from llm_router.upstream.response import UpstreamResponse

_HEADER_BYTES = 64 * 1024
_HEADER_COUNT = 256
_JOINED_BYTES = 64 * 1024
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
        self._headers: list[tuple[str, str]] = []
        self._header_bytes = 0
        self._head_bytes = 0
        self._interim = 0
        self._body: list[bytes] = []
        self.on_body = self._body.append  # called by the parser, for each piece
        self._parser = httptools.HttpResponseParser(self)
        self._sent_at = 0.0
        self._has_answered = False  # a byte of this answer has come
        self._is_message_over = False
        self._ends_with_connection = False
        self._closes = False

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def request(self, *pieces: bytes | memoryview) -> UpstreamResponse:
        """Send a request and return at the response's headers. Raises UpstreamError."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise self._broken_before_answer()
        self._head = self._loop.create_future()
        self._interim = self._head_bytes = 0
        self._has_answered = False
        self._sent_at = self._loop.time()
        # One piece is written at once; of several, copying is dear only where they are long.
        if sum(map(len, pieces)) <= _JOINED_BYTES:
            transport.write(b"".join(pieces))
        else:
            transport.writelines(pieces)
        try:
            return await self._head
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
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
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
            self._has_answered = True
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
        if self._is_message_over:
            self._finish()
        elif self._response is None:
            self._head_bytes += len(data)
            if self._head_bytes > _HEADER_BYTES:
                self._refuse("The answer's headers do not end.")

    def eof_received(self) -> None:
        if self._ends_with_connection:
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._ends_with_connection and exc is None:
            self._finish()
        self._fail("The connection broke.", is_reset=exc is not None)

    # The parser's callbacks

    def on_message_begin(self) -> None:
        if self._is_message_over:
            raise ValueError("a second answer")
        self._headers, self._header_bytes = [], 0  # what is left are trailers of the last one

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > _HEADER_BYTES or len(self._headers) >= _HEADER_COUNT:
            raise ValueError("too many headers")
        # The parser leaves white space at the end of a value where it is.
        self._headers.append((name.decode("latin-1"), value.rstrip(b" \t").decode("latin-1")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        headers = CIMultiDict(self._headers)
        self._headers, self._header_bytes = [], 0
        if status < 200:
            self._interim += 1
            if self._interim > _INTERIM_RESPONSES:
                raise ValueError("too many interim responses")
            return
        self._ends_with_connection = not (
            "Content-Length" in headers or "Transfer-Encoding" in headers or status in (204, 304)
        )
        self._closes = not self._parser.should_keep_alive()
        self._response = self._latest = UpstreamResponse(self, status, headers)
        if self._head is not None and not self._head.done():
            self._head.set_result(self._response)
        self._head = None

    def on_message_complete(self) -> None:
        if self._response is not None:
            self._is_message_over = True

    # How an answer ends

    def _deliver(self) -> None:
        """Hand on what one read brought, in one piece."""
        if self._response is not None:
            body = self._body
            self._response.feed(body[0] if len(body) == 1 else b"".join(body))
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
        self._is_message_over = self._ends_with_connection = False
        if response is not None:
            response.end()
        if is_reusable:
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
        if self.is_used and not self._has_answered and age_s < _STALE_S:
            return UpstreamError(FailureClass.STALE_CONNECTION, "A pooled connection had died.")
        return UpstreamError(FailureClass.NO_RESPONSE, f"No answer: {message}")
