"""aiohttp's server with what it lacks: deadlines for its clients, and errors in the one shape.

Its defaults are meant for applications behind a proxy; this one may stand in front.
"""

import asyncio
import logging
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import _ErrInfo

from llm_router.errors import Internal, InvalidRequest
from llm_router.proxy.request_id import new_request_id
from llm_router.settings import DeadlineSettings
from llm_router.tasks import spawn
from llm_router.web.lane import Lane, Service
from llm_router.web.pace import Pace
from llm_router.web.responses import PLAIN_HEADERS, error_answer
from llm_router.web.routes import Handler
from llm_router.web.turned_away import TurnedAway, most_clients

log = logging.getLogger(__name__)


class Connection(web.RequestHandler):
    """A client's connection that aiohttp serves, at the client's `pace`."""

    __slots__ = ("pace",)

    def __init__(self, server: web.Server, pace: Pace, **options: Any) -> None:
        super().__init__(server, **options)
        self.pace = pace

    def data_received(self, data: bytes) -> None:
        self.pace.received(self._loop.time())
        super().data_received(data)
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo):
            self._break_body(self._messages[-1][0])

    def _break_body(self, error: _ErrInfo) -> None:
        """Tell whoever reads a body that its chunks are broken.

        aiohttp only queues an answer behind that request, which would wait for its body in vain.
        """
        request = self._current_request
        if request is not None and not request.content.is_eof():
            request.content.set_exception(web.RequestPayloadError(error.message))
            request.content.feed_eof()  # nothing is left to linger for

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

    def __init__(
        self, inner: web.Server, deadlines: DeadlineSettings, chat: Service | None = None
    ) -> None:
        super().__init__(
            inner.request_handler,
            request_factory=inner.request_factory,
            # A client that leaves must cancel its handler, and that the generation it pays for.
            handler_cancellation=True,
        )
        self._deadlines = deadlines
        self._chat = chat
        self._lanes: set[Lane] = set()
        self._most = most_clients()
        self._options = {
            "loop": asyncio.get_running_loop(),
            "keepalive_timeout": deadlines.connection_idle_s,
            "access_log": None,
            "auto_decompress": False,
        }

    def __call__(self) -> Any:
        """Return what serves a new connection."""
        if len(self._lanes) + len(self.connections) >= self._most:
            return TurnedAway()
        pace = Pace(self._deadlines)
        if self._chat is None:
            return self._connection(pace)
        return Lane(self._chat, self._take_over, self._lanes, pace)

    def clients(self) -> list[Lane | Connection]:
        taken = (each for each in self.connections if isinstance(each, Connection))
        return [*self._lanes, *taken]

    def _connection(self, pace: Pace) -> Connection:
        return Connection(self, pace, **self._options)

    def _take_over(self, transport: asyncio.Transport, received: bytes, pace: Pace) -> None:
        """Serve a connection that a lane has begun with."""
        connection = self._connection(pace)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        connection.data_received(received)

    def pre_shutdown(self) -> None:
        super().pre_shutdown()
        for lane in list(self._lanes):
            lane.close()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- aiohttp's name
        lanes = [lane.shutdown(timeout) for lane in self._lanes]
        await asyncio.gather(super().shutdown(timeout), *lanes)

    async def drop_slow_connections(self) -> None:
        loop = asyncio.get_running_loop()
        tick_s = min(1.0, self._deadlines.header_s / 4, self._deadlines.write_s / 4)
        while True:
            await asyncio.sleep(tick_s)
            now = loop.time()
            for connection in self.clients():
                if connection.pace.is_exceeded(connection.transport, now):
                    connection.drop()


class Runner(web.AppRunner):
    """Runs the application the one way it is run, in production and in tests.

    `chat` serves chat requests that need nothing of aiohttp; without it, aiohttp takes them too.
    """

    def __init__(
        self, app: web.Application, deadlines: DeadlineSettings, chat: Service | None = None
    ) -> None:
        super().__init__(app, shutdown_timeout=1.0)
        self._deadlines = deadlines
        self._chat = chat
        self._watch: asyncio.Task[None] | None = None

    def clients(self) -> list[Lane | Connection]:
        """Return all open connections."""
        return self.server.clients() if isinstance(self.server, Server) else []

    async def _make_server(self) -> web.Server:
        server = Server(await super()._make_server(), self._deadlines, self._chat)
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
    connection.pace.begins()
    try:
        return await handler(request)
    finally:
        connection.pace.ends()
