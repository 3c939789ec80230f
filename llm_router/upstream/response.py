"""An answer that is arriving on a connection: buffered for a reader, or handed to a sink.

One buffer with flow control stands between the two. Whatever arrived before a connection broke can
still be read; only then does the reader learn of the break.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from llm_router.errors import UpstreamError
from llm_router.routing.failures import FailureClass

if TYPE_CHECKING:
    from llm_router.upstream.connection import Connection

RESPONSE_LIMIT = 64 * 1024 * 1024
_BUFFER_LIMIT = 128 * 1024  # a slow client bounds our memory: beyond it nothing more is read


class Sink(Protocol):
    """Takes an answer as it comes, in the connection's own callbacks; must not raise."""

    def feed(self, block: bytes) -> None: ...
    def end(self) -> None: ...
    def fail(self, error: UpstreamError) -> None: ...


class UpstreamResponse:
    """An answer whose body may still be arriving. Use it from one task; `close` it in the end."""

    __slots__ = (
        "_buffer",
        "_connection",
        "_error",
        "_is_complete",
        "_sink",
        "_waiter",
        "headers",
        "status",
    )

    def __init__(self, connection: "Connection", status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = headers
        self._connection = connection
        self._buffer = b""
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
        while not self._buffer:
            if self._error is not None:
                raise self._error
            if self._is_complete:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._taken()

    def _taken(self) -> bytes:
        """Take out what has arrived."""
        block, self._buffer = self._buffer, b""
        if len(block) > _BUFFER_LIMIT and not self._is_complete:
            self._connection.resume()
        return block

    def attach(self, sink: Sink) -> None:
        """Hand everything to `sink` from now on, what has arrived already first of all."""
        if block := self._taken():
            sink.feed(block)
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
        if self._is_complete and len(self._buffer) <= limit:
            return self._taken()
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
        self._buffer += block  # what came first is not copied
        if len(self._buffer) > _BUFFER_LIMIT:
            self._connection.pause()
        if self._waiter is not None:
            self._wake()

    def end(self) -> None:
        self._is_complete = True
        if self._sink is not None:
            self._sink.end()
        elif self._waiter is not None:
            self._wake()

    def fail(self, error: UpstreamError) -> None:
        self._error = error
        if self._sink is not None:
            self._sink.fail(error)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
