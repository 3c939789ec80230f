"""aiohttp's server with what it lacks: deadlines for its clients, and errors in the one shape.

Its defaults are meant for applications behind a proxy; this one may stand in front.
"""

import asyncio
import logging
from typing import Any

from aiohttp import web

from llm_router import platform
from llm_router.errors import Internal, InvalidRequest
from llm_router.proxy.exchange import new_request_id
from llm_router.settings import DeadlineSettings
from llm_router.tasks import spawn
from llm_router.web.responses import PLAIN_HEADERS, error_answer
from llm_router.web.routes import Handler

log = logging.getLogger(__name__)


class Connection(web.RequestHandler):
    """A client's connection. Headers must be whole `header_s` after their first byte, and of what
    is sent something must move every `write_s`.
    """

    __slots__ = ("_deadlines", "_moved_at", "_untaken", "headers_due", "is_busy")

    def __init__(self, server: web.Server, deadlines: DeadlineSettings, **options: Any) -> None:
        super().__init__(server, **options)
        self._deadlines = deadlines
        self._untaken = 0
        self._moved_at = 0.0
        self.headers_due: float | None = None
        self.is_busy = False

    def data_received(self, data: bytes) -> None:
        if self.headers_due is None and not self.is_busy:
            self.headers_due = self._loop.time() + self._deadlines.header_s
        super().data_received(data)

    def is_too_slow(self, now: float) -> bool:
        """Say whether a deadline has passed; asked again and again, with the loop's time."""
        if self.headers_due is not None and now > self.headers_due:
            return True
        untaken = platform.untaken_bytes(self.transport) if self.transport is not None else 0
        if not untaken or untaken != self._untaken:
            self._untaken, self._moved_at = untaken, now
        return now > self._moved_at + self._deadlines.write_s

    def drop(self) -> None:
        """Close without waiting for the client to take what is unsent."""
        transport = self.transport
        self.force_close()
        if transport is not None:
            transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never reached the application, above all bytes that are no HTTP."""
        if isinstance(exc, ConnectionError):
            raise exc
        if request.writer.output_size > 0:
            raise ConnectionError("The response has begun; it can only be cut.")
        if status >= 500:
            log.error("a request failed outside its handler", exc_info=exc)
            error: InvalidRequest | Internal = Internal("Something broke inside the router.")
        else:
            error = InvalidRequest("This is not a valid HTTP/1.1 request.")
        response = error_answer(error, {"x-router-request-id": new_request_id()})
        response.headers.update(PLAIN_HEADERS)
        response.force_close()
        return response


class Server(web.Server):
    """Makes `Connection`s and drops those whose clients dawdle."""

    def __init__(self, inner: web.Server, deadlines: DeadlineSettings) -> None:
        super().__init__(
            inner.request_handler,
            request_factory=inner.request_factory,
            # A client that leaves must cancel its handler, and that the generation it pays for.
            handler_cancellation=True,
        )
        self._deadlines = deadlines
        self._options = {
            "loop": asyncio.get_running_loop(),
            "keepalive_timeout": deadlines.connection_idle_s,
            "access_log": None,
            "auto_decompress": False,
        }

    def __call__(self) -> Connection:
        return Connection(self, self._deadlines, **self._options)

    async def drop_slow_connections(self) -> None:
        loop = asyncio.get_running_loop()
        tick_s = min(1.0, self._deadlines.header_s / 4, self._deadlines.write_s / 4)
        while True:
            await asyncio.sleep(tick_s)
            now = loop.time()
            for connection in self.connections:
                if isinstance(connection, Connection) and connection.is_too_slow(now):
                    connection.drop()


class Runner(web.AppRunner):
    """Runs the application the one way it is run, in production and in tests."""

    def __init__(self, app: web.Application, deadlines: DeadlineSettings) -> None:
        super().__init__(app, shutdown_timeout=1.0)
        self._deadlines = deadlines
        self._watch: asyncio.Task[None] | None = None

    async def _make_server(self) -> web.Server:
        server = Server(await super()._make_server(), self._deadlines)
        self._watch = spawn(server.drop_slow_connections(), name="slow-connections")
        return server

    async def _cleanup_server(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        await super()._cleanup_server()


@web.middleware
async def headers_arrived(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Outermost: the connection's headers are whole, and until the answer is given it is busy."""
    connection = request.protocol
    if not isinstance(connection, Connection):  # only where tests run handlers by themselves
        return await handler(request)
    connection.headers_due, connection.is_busy = None, True
    try:
        return await handler(request)
    finally:
        connection.is_busy = False
