"""Write one answer onto the connection, and break it where the behaviour says so.

Waiting for ever and breaking off rely on `handler_cancellation=True`: when the connection is lost,
the handler is cancelled where it waits.
"""

import asyncio
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web

from llm_router.demo import refusals
from llm_router.demo.behaviour import HEADERS, Behaviour
from llm_router.demo.script import Call, Script

# `struct linger` with a time of 0: closing sends RST.
_RESET_ON_CLOSE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_BEAT_MS = 200


@dataclass(frozen=True, slots=True)
class Stream:
    """A streamed answer in the order it is written. `beat` is what keeps a stall busy."""

    content_type: str
    preamble: Sequence[bytes]
    chunks: Sequence[bytes]
    tail: Sequence[bytes]
    error: bytes | None = None
    beat: bytes = b""
    gap_ms: int = 0


class Wire:
    def __init__(self, request: web.Request, script: Script, call: Call, how: Behaviour) -> None:
        self._request = request
        self._script = script
        self._call = call
        self._how = how
        self._response: web.StreamResponse | None = None

    async def plain(
        self,
        body: bytes,
        *,
        status: int = 200,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> web.StreamResponse:
        """Answer with one body; a place beyond the headers is in the middle of it."""
        how = self._how
        facts = {"Content-Type": content_type, **(headers or {}), **how.headers}
        await self._incident(HEADERS)
        self._call.status = status
        if max(_places(how), default=HEADERS) == HEADERS:
            response = web.Response(body=body, status=status, headers=facts)
            await response.prepare(self._request)
            await response.write_eof()
            return self._finish(response)
        parts = web.StreamResponse(status=status, headers=facts)
        parts.content_length = len(body)
        await self._open(parts)
        await parts.write(body[: len(body) // 2])
        for place in sorted(_places(how)):
            await self._incident(place, is_plain=True)
        await parts.write(body[len(body) // 2 :])
        await parts.write_eof()
        return self._finish(parts)

    async def page(self) -> web.StreamResponse:
        """Answer with HTML, as a CDN in front of an API does when it is in trouble."""
        status = self._how.status or 200
        return await self.plain(refusals.page(status), status=status, content_type="text/html")

    async def stream(self, stream: Stream, headers: dict[str, str]) -> web.StreamResponse:
        how = self._how
        await self._incident(HEADERS)
        self._call.status = 200
        facts = {"Content-Type": stream.content_type, **headers, **how.headers}
        response = web.StreamResponse(headers=facts)
        await self._open(response)
        for block in stream.preamble:
            await self._write(block)
        if not await self._chunks(stream):
            for block in stream.tail:
                await self._write(block)
        await response.write_eof()
        return self._finish(response)

    async def _chunks(self, stream: Stream) -> bool:
        """Write the events with substance; True if the answer ended early."""
        call, how = self._call, self._how
        # A place beyond the last chunk is the end of the chunks.
        places = {min(place, len(stream.chunks)) for place in _places(how)}
        gap_s = stream.gap_ms / 1000
        for number, chunk in enumerate(stream.chunks):
            if number in places and await self._at(number, stream):
                return True
            await self._write(chunk)
            call.chunks = number + 1
            if gap_s:
                self._script.moved()
                await asyncio.sleep(gap_s)
        return len(stream.chunks) in places and await self._at(len(stream.chunks), stream)

    async def _at(self, number: int, stream: Stream) -> bool:
        how = self._how
        last = len(stream.chunks)
        self._script.moved()
        if how.insert is not None and min(how.after, last) == number:
            await self._write(how.insert)
        for place in sorted(_places(how)):
            if min(place, last) == number:
                await self._incident(place, beat=stream.beat)
        if stream.error is not None and min(how.after, last) == number:
            await self._write(stream.error)
            return True
        return how.end is not None and min(how.end, last) == number

    async def _incident(self, place: int, *, beat: bytes = b"", is_plain: bool = False) -> None:
        """Do what the behaviour wants at this place, apart from ending well."""
        how = self._how
        if how.stall == place:
            await self._stall(beat)
        if how.drop == place:
            await self._break(reset=True)
        if how.close == place or (is_plain and how.end == place):
            await self._break(reset=False)

    async def _stall(self, beat: bytes) -> None:
        how = self._how
        usual_ms = _BEAT_MS if how.stall == 0 else 0
        beat_ms = usual_ms if how.beat is None else how.beat
        over_s = None if how.stall_ms is None else how.stall_ms / 1000
        release = how.release or asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout(over_s):
                while beat and beat_ms and not release.is_set():
                    await self._write(beat)
                    await asyncio.sleep(beat_ms / 1000)
                await release.wait()

    async def _break(self, *, reset: bool) -> None:
        self._call.dropped = True
        transport = self._request.transport
        if transport is not None:
            # A reset discards what has not left yet, and that was meant to arrive.
            while transport.get_write_buffer_size():  # noqa: ASYNC110 - transports have no event
                await asyncio.sleep(0.001)
            if reset:
                sock = transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                transport.abort()
            else:
                transport.close()
        self._script.moved()
        await asyncio.Event().wait()

    async def _open(self, response: web.StreamResponse) -> None:
        self._response = response
        await response.prepare(self._request)

    async def _write(self, block: bytes) -> None:
        response = self._response
        assert response is not None
        if self._how.crlf:
            block = block.replace(b"\n", b"\r\n")
        if not self._how.bytewise:
            await response.write(block)
            return
        for byte in block:
            await response.write(bytes((byte,)))
            await asyncio.sleep(0)

    def _finish(self, response: web.StreamResponse) -> web.StreamResponse:
        self._call.finished = True
        self._script.moved()
        return response


def _places(how: Behaviour) -> set[int]:
    """Return where something happens besides writing."""
    found = {place for place in (how.stall, how.drop, how.close, how.end) if place is not None}
    if how.insert is not None or how.is_streamed_error:
        found.add(how.after)
    return found
