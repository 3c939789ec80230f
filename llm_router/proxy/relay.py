"""The client's side of a streamed answer: open once, write at once, end it or visibly break it."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from llm_router import platform
from llm_router.errors import ClientGone
from llm_router.proxy.outlet import Outlet
from llm_router.settings import Settings
from llm_router.tasks import spawn

KEEP_ALIVE = b": keep-alive\n\n"
_BEHIND_BYTES = 64 * 1024  # the transport's own high-water mark
_STREAM_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would collect the stream otherwise
}


class ResponseCut(ConnectionError):
    """Makes the server drop the connection without the last chunk: no client takes it for an end.

    A ConnectionError, because that is what aiohttp's server takes for a connection already lost.
    """


class ClientStream:
    """An SSE response that is not opened before its first byte is due."""

    def __init__(self, outlet: Outlet, settings: Settings) -> None:
        self.is_open = False  # once the status line is out, it can no longer say anything else
        self._outlet = outlet
        self._write_s = settings.deadlines.write_s
        self._keepalive_s = settings.server.keepalive_s
        self._timer: asyncio.TimerHandle | None = None
        self._ticker: asyncio.Task[None] | None = None

    async def whole(self, headers: Mapping[str, str], body: bytes) -> None:
        """Answer with a whole JSON document instead of a stream."""
        try:
            await self._outlet.whole(200, headers, body)
        except ConnectionError as exc:
            raise ClientGone("The client left.") from exc

    async def open(self, headers: Mapping[str, str]) -> None:
        if not self.is_open:
            self.is_open = True
            try:
                await self._outlet.open({**_STREAM_HEADERS, **headers})
            except ConnectionError as exc:
                raise ClientGone("The client left.") from exc

    async def write(self, data: bytes) -> None:
        """Write now; wait only while the client reads more slowly than the provider sends.

        Raises ClientGone when it left, or when nothing moved for `write_s`.
        """
        if self.write_now(data):
            await self.drain()

    def write_now(self, data: bytes) -> bool:
        """Write without waiting, whatever is unsent already. Raises ClientGone when it left.

        True while so much is unsent that the provider should wait.
        """
        transport = self._outlet.transport
        if transport is None or transport.is_closing():
            raise ClientGone("The client left.")
        # Framed here: a response's own writer wants to be awaited for every block.
        transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._outlet.is_chunked else data)
        return transport.get_write_buffer_size() > _BEHIND_BYTES

    async def drain(self) -> None:
        """Wait until the client has caught up, for as long as it makes any progress."""
        transport = self._outlet.transport
        waiting = None
        while transport is not None:
            left = platform.untaken_bytes(transport)
            if waiting is not None and left >= waiting:
                transport.abort()
                raise ClientGone(f"The client read nothing for {self._write_s:g} s.")
            waiting = left
            try:
                async with asyncio.timeout(self._write_s):
                    await self._outlet.drain()
                return
            except TimeoutError:
                continue
            except ConnectionError as exc:
                raise ClientGone("The client left.") from exc

    async def end(self) -> None:
        """Write the last chunk: a whole answer, told apart from a broken one by exactly this."""
        try:
            await self._outlet.end()
        except ConnectionError as exc:
            raise ClientGone("The client left.") from exc

    async def cut(self, error: Mapping[str, Any] | None) -> ResponseCut:
        """Write the final error event, if one is ours to write; raise what is returned."""
        if error is not None:
            try:
                await self.write(b"data: " + msgspec.json.encode(error) + b"\n\n")
            except ClientGone:
                return ResponseCut("The client left before it could be told.")
        return ResponseCut("The answer broke off; the client was told.")

    def keep_alive(self, headers: Callable[[], Mapping[str, str]]) -> None:
        """From `keepalive_s` on, send comments until `stop_keep_alive`; `headers` open the answer.

        Comments do not commit to a candidate, but they do fix the status at 200.
        """
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._keepalive_s, self._start_ticking, headers)

    async def stop_keep_alive(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._ticker is not None:
            ticker, self._ticker = self._ticker, None
            ticker.cancel()
            # Not awaited by itself: a cancellation of ours must not pass for the ticker's.
            await asyncio.wait((ticker,))

    def _start_ticking(self, headers: Callable[[], Mapping[str, str]]) -> None:
        self._ticker = spawn(self._tick(headers), name="keep-alive")

    async def _tick(self, headers: Callable[[], Mapping[str, str]]) -> None:
        with suppress(ClientGone):  # the handler learns of it by itself
            await self.open(headers())
            while True:
                await self.write(KEEP_ALIVE)
                await asyncio.sleep(self._keepalive_s)
