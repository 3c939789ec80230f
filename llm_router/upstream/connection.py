"""One HTTP/1.1 connection to the provider, and the answer that is coming in on it.

httptools' parser, and nothing between it and the reader but one buffer with flow control. Whatever
arrived before a connection broke can still be read; only then does the reader learn of the break.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

import httptools
from multidict import CIMultiDict

from llm_router.errors import UpstreamError
from llm_router.routing.failures import FailureClass

RESPONSE_LIMIT = 64 * 1024 * 1024
_BUFFER_LIMIT = 128 * 1024  # a slow client bounds our memory: beyond it nothing more is read
_HEADER_BYTES = 64 * 1024
_HEADER_COUNT = 256
_INTERIM_RESPONSES = 8
_STALE_S = 1.0  # a connection that had died says so at once; later, work may have begun


class Sink(Protocol):
    """Takes an answer as it comes, in the connection's own callbacks; must not raise."""

    def feed(self, block: bytes) -> None: ...
    def end(self) -> None: ...
    def fail(self, error: UpstreamError) -> None: ...


class UpstreamResponse:
    """An answer whose body may still be arriving. Use it from one task; `close` it in the end."""

    def __init__(self, connection: "Connection", status: int, headers: CIMultiDict[str]) -> None:
        self.status = status
        self.headers = headers
        self._connection = connection
        self._blocks: list[bytes] = []
        self._buffered = 0
        self._waiter: asyncio.Future[None] | None = None
        self._is_complete = False
        self._error: UpstreamError | None = None
        self._sink: Sink | None = None

    @property
    def generation_id(self) -> str | None:
        """OpenRouter's X-Generation-Id, which its cost can be asked for by."""
        value = self.headers.get("X-Generation-Id")
        return value[:128] if value and value.isprintable() else None

    async def block(self) -> bytes:
        """Return whatever has arrived, waiting for something; b"" at the end.

        Raises UpstreamError when the connection broke before the end.
        """
        while not self._blocks:
            if self._error is not None:
                raise self._error
            if self._is_complete:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        blocks = self._blocks
        block = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        blocks.clear()
        if self._buffered > _BUFFER_LIMIT:
            self._connection.resume()
        self._buffered = 0
        return block

    def attach(self, sink: Sink) -> None:
        """Hand everything to `sink` from now on, what has arrived already first of all."""
        blocks, self._blocks = self._blocks, []
        if self._buffered > _BUFFER_LIMIT:
            self._connection.resume()
        self._buffered = 0
        if blocks:
            sink.feed(b"".join(blocks))
        self._sink = sink
        if self._error is not None:
            sink.fail(self._error)
        elif self._is_complete:
            sink.end()

    def detach(self) -> None:
        """Keep what arrives here again, up to a bound."""
        self._sink = None

    async def body(self, limit: int = RESPONSE_LIMIT) -> bytes:
        """Return the whole body. Raises UpstreamError when it breaks off or is too long."""
        blocks, size = [], 0
        while block := await self.block():
            blocks.append(block)
            size += len(block)
            if size > limit:
                self.close()
                message = f"The answer is longer than {limit} bytes."
                raise UpstreamError(FailureClass.RESPONSE_TOO_LARGE, message)
        return b"".join(blocks)

    def is_complete(self) -> bool:
        """True once the end of the body has arrived, read or not."""
        return self._is_complete

    def close(self) -> None:
        """Drop the connection unless the whole body arrived; that cancels the generation."""
        if not self._is_complete and self._error is None:
            self._connection.abort()

    def discard(self) -> None:
        """Drop the connection although the body may be whole: its sender cannot be trusted."""
        self._connection.discard(self)

    # The connection's side

    def feed(self, block: bytes) -> None:
        if self._sink is not None:
            self._sink.feed(block)
            return
        self._blocks.append(block)
        self._buffered += len(block)
        if self._buffered > _BUFFER_LIMIT:
            self._connection.pause()
        self._wake()

    def end(self) -> None:
        self._is_complete = True
        if self._sink is not None:
            self._sink.end()
        self._wake()

    def fail(self, error: UpstreamError) -> None:
        self._error = error
        if self._sink is not None:
            self._sink.fail(error)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Connection(asyncio.Protocol):
    """Serves one request after another; `on_idle` is told when it can take the next."""

    def __init__(self, on_idle: Callable[["Connection"], None]) -> None:
        self.idle_since = 0.0
        self.is_used = False  # has served before: a reset now may be the pool's fault
        self._on_idle = on_idle
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._head: asyncio.Future[UpstreamResponse] | None = None
        self._response: UpstreamResponse | None = None
        self._latest: UpstreamResponse | None = None
        self._headers: list[tuple[str, str]] = []
        self._header_bytes = 0
        self._head_bytes = 0
        self._interim = 0
        self._body: list[bytes] = []
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
        self._head = asyncio.get_running_loop().create_future()
        self._interim = self._head_bytes = 0
        self._has_answered = False
        self._sent_at = asyncio.get_running_loop().time()
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
        if self._head is None and self._response is None:
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

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._response is not None:
            self._is_message_over = True

    # How an answer ends

    def _deliver(self) -> None:
        """Hand on what one read brought, in one piece."""
        body = self._body
        if body and self._response is not None:
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
        age_s = asyncio.get_running_loop().time() - self._sent_at
        if self.is_used and not self._has_answered and age_s < _STALE_S:
            return UpstreamError(FailureClass.STALE_CONNECTION, "A pooled connection had died.")
        return UpstreamError(FailureClass.NO_RESPONSE, f"No answer: {message}")
