"""Connections to one origin, kept open between calls: TLS handshakes are most of a call's latency.

There is no upper bound: every call is a client's request, and those are bounded by their sockets.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from llm_router.errors import UpstreamError
from llm_router.routing.failures import FailureClass
from llm_router.settings import DeadlineSettings
from llm_router.upstream.connection import Connection
from llm_router.upstream.origin import Origin
from llm_router.upstream.response import UpstreamResponse

IDLE_S = 60.0


class Pool:
    """The most recently used connection goes first, so that spare ones can grow old and go."""

    def __init__(self, origin: Origin, connect_s: float) -> None:
        self.origin = origin
        self._connect_s = connect_s
        self._idle: deque[Connection] = deque()
        self._loop = asyncio.get_running_loop()
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_open = True

    def send(
        self, *request: bytes | memoryview, on_new_connection: bool = False
    ) -> Awaitable[UpstreamResponse]:
        """Send a whole request, in pieces; returns at the response's headers. Raises UpstreamError.

        STALE_CONNECTION says that a pooled connection had silently died, as they do all the time:
        worth one more try `on_new_connection`.
        """
        connection = None if on_new_connection else self._take()
        if connection is None:
            return self._send_on_new(request)
        return connection.request(*request)

    async def close(self) -> None:
        self._is_open = False
        if self._sweeper is not None:
            self._sweeper.cancel()
        while self._idle:
            self._idle.pop().abort()
        await asyncio.sleep(0)  # transports close in the loop's next turn

    async def _send_on_new(self, request: tuple[bytes | memoryview, ...]) -> UpstreamResponse:
        return await (await self._connect()).request(*request)

    def _take(self) -> Connection | None:
        idle = self._idle
        oldest = self._loop.time() - IDLE_S
        while idle:
            connection = idle.pop()
            if connection.idle_since > oldest and connection.is_open():
                return connection
            connection.abort()
        return None

    async def _connect(self) -> Connection:
        try:
            async with asyncio.timeout(self._connect_s):
                return await self.origin.connect(lambda: Connection(self._keep))
        except TimeoutError as exc:
            message = f"No connection to the provider within {self._connect_s:g} s."
            raise UpstreamError(FailureClass.CONNECT_TIMEOUT, message) from exc

    def _keep(self, connection: Connection) -> None:
        if not self._is_open:
            connection.abort()
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(IDLE_S, self._sweep)

    def _sweep(self) -> None:
        oldest = self._loop.time() - IDLE_S
        while self._idle and self._idle[0].idle_since <= oldest:
            self._idle.popleft().abort()
        self._sweeper = self._loop.call_later(IDLE_S, self._sweep) if self._idle else None


@asynccontextmanager
async def open_pool(deadlines: DeadlineSettings, base_url: str) -> AsyncIterator[Pool]:
    """Open the connections to `base_url`; nothing is connected before the first call."""
    pool = Pool(Origin(base_url), deadlines.connect_s)
    try:
        yield pool
    finally:
        await pool.close()
