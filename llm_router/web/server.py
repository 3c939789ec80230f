"""aiohttp's server with what it lacks: a deadline for headers, and errors in the one shape.

Its defaults are meant for applications behind a proxy; this one may stand in front.
"""

import asyncio
import logging
from typing import Any

from aiohttp import web

from llm_router.errors import Internal, InvalidRequest
from llm_router.proxy.exchange import new_request_id
from llm_router.settings import DeadlineSettings
from llm_router.tasks import spawn
from llm_router.web.responses import error_answer
from llm_router.web.routes import Handler

log = logging.getLogger(__name__)


class Connection(web.RequestHandler):
    """A client's connection. Headers must be whole `header_s` after their first byte."""

    __slots__ = ("_header_s", "headers_due", "is_busy")

    def __init__(self, server: web.Server, header_s: float, **options: Any) -> None:
        super().__init__(server, **options)
        self._header_s = header_s
        self.headers_due: float | None = None
        self.is_busy = False

    def data_received(self, data: bytes) -> None:
        if self.headers_due is None and not self.is_busy:
            self.headers_due = self._loop.time() + self._header_s
        super().data_received(data)

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
        response.force_close()
        return response


class Server(web.Server):
    """Makes `Connection`s and closes those that dawdle over their headers."""

    def __init__(self, inner: web.Server, deadlines: DeadlineSettings) -> None:
        super().__init__(
            inner.request_handler,
            request_factory=inner.request_factory,
            # A client that leaves must cancel its handler, and that the generation it pays for.
            handler_cancellation=True,
        )
        self._header_s = deadlines.header_s
        self._options = {
            "loop": asyncio.get_running_loop(),
            "keepalive_timeout": deadlines.connection_idle_s,
            "access_log": None,
            "auto_decompress": False,
        }

    def __call__(self) -> Connection:
        return Connection(self, self._header_s, **self._options)

    async def close_slow_connections(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(1.0, self._header_s / 4))
            now = loop.time()
            for connection in self.connections:
                due = connection.headers_due if isinstance(connection, Connection) else None
                if due is not None and now > due:
                    connection.force_close()


class Runner(web.AppRunner):
    """Runs the application the one way it is run, in production and in tests."""

    def __init__(self, app: web.Application, deadlines: DeadlineSettings) -> None:
        super().__init__(app, shutdown_timeout=1.0)
        self._deadlines = deadlines
        self._watch: asyncio.Task[None] | None = None

    async def _make_server(self) -> web.Server:
        server = Server(await super()._make_server(), self._deadlines)
        self._watch = spawn(server.close_slow_connections(), name="slow-connections")
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
