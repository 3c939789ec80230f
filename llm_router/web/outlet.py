"""aiohttp's way back to a client, for requests that its server took."""

import asyncio
from collections.abc import Mapping

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from llm_router.web.responses import whole_answer


class AiohttpOutlet:
    """Makes the `response` that the handler returns."""

    def __init__(self, request: web.Request) -> None:
        self.response: web.StreamResponse | None = None
        self._request = request
        self._writer: AbstractStreamWriter | None = None
        self.is_chunked = request.version >= HttpVersion11

    @property
    def transport(self) -> asyncio.Transport | None:
        return self._request.transport

    @property
    def has_begun(self) -> bool:
        return self._writer is not None

    async def whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        # Written here, so that whoever answers hears of a client that does not take it.
        self.response = whole_answer(status, headers, body)
        self._writer = await self.response.prepare(self._request)
        await self.response.write_eof()
        await self.drain()

    async def open(self, headers: Mapping[str, str]) -> None:
        self.response = web.StreamResponse(headers=headers)
        if not self.is_chunked:
            # Without a length and chunks only the connection's end can tell; aiohttp would keep it.
            self.response.force_close()
        self._writer = await self.response.prepare(self._request)
        if self._writer is not None:
            self._writer.send_headers()

    async def drain(self) -> None:
        if self._writer is not None:
            # Shielded: all waits for a connection share one future of aiohttp's, and a cancelled
            # one would stay behind and cancel whoever waits next.
            await asyncio.shield(self._writer.drain())

    async def end(self) -> None:
        if self.response is not None:
            await self.response.write_eof()
