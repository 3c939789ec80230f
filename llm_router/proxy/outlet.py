"""The way back to one client, whatever serves HTTP there."""

import asyncio
from collections.abc import Mapping
from typing import Protocol


class Outlet(Protocol):
    """Takes one answer: a whole one, or a stream that is opened, written to and ended.

    A stream's blocks go to `transport` directly, framed by the writer where `is_chunked`. Every
    method raises ConnectionError when the client has left.
    """

    @property
    def transport(self) -> asyncio.Transport | None:
        """None once the connection is gone."""

    @property
    def is_chunked(self) -> bool:
        """Whether the client takes chunked transfer encoding; HTTP/1.0 reads until the close."""

    @property
    def has_begun(self) -> bool:
        """Whether the client has been sent a status line."""

    async def whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Answer with a whole JSON document."""

    async def open(self, headers: Mapping[str, str]) -> None:
        """Send the status line and the headers of a stream."""

    async def drain(self) -> None:
        """Wait until what is unsent is little enough; may be cancelled."""

    async def end(self) -> None:
        """Write what tells a whole stream from a broken one."""
