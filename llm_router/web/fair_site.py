"""Taking connections in turns: of several workers at one socket, whoever has the fewest.

Left to themselves, the first to wake up takes all that wait. Clients keep their connections, so one
core would do all the work from then on.
"""

import asyncio
import logging
import socket
from collections.abc import Callable

from aiohttp import web

from llm_router.tasks import launch
from llm_router.turns import Turns
from llm_router.web.server import Runner

log = logging.getLogger(__name__)

_GIVE_WAY_S = 0.001  # whoever is idle has woken up by then
_COUNT_S = 0.25
_NO_ROOM_S = 1.0


class FairSite(web.BaseSite):
    """Like web.SockSite, but in turns with other workers."""

    def __init__(self, runner: Runner, sock: socket.socket, backlog: int, turns: Turns) -> None:
        super().__init__(runner, backlog=backlog)
        self._loop = asyncio.get_running_loop()
        self._clients = runner.clients
        self._factory = runner.server
        self._sock = sock
        self._turns = turns
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}

    @property
    def name(self) -> str:
        host, port = self._sock.getsockname()[:2]
        return f"http://{host}:{port}"

    async def start(self) -> None:
        await super().start()
        self._sock.listen(self._backlog)
        self._count()
        self._watch()

    async def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()
        await super().stop()

    def _count(self) -> None:
        self._turns.has(len(self._clients()))
        self._after(_COUNT_S, self._count)

    def _watch(self) -> None:
        self._loop.add_reader(self._sock, self._one_waits)

    def _rest(self, seconds: float, then: Callable[[], None]) -> None:
        self._loop.remove_reader(self._sock)
        self._after(seconds, then)

    def _one_waits(self) -> None:
        if self._turns.is_ours():
            self._take()
        else:  # the same connection has woken up the others
            self._rest(_GIVE_WAY_S, self._take_after_all)

    def _take_after_all(self) -> None:
        self._watch()
        self._take()

    def _take(self) -> None:
        """Take one connection, if it is still there."""
        try:
            sock, _ = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as exc:
            log.error("no connections can be taken for %g s: %s", _NO_ROOM_S, exc.strerror)
            self._rest(_NO_ROOM_S, self._watch)
            return
        self._turns.has_taken_one()
        launch(self._serve(sock), name="connection")

    async def _serve(self, sock: socket.socket) -> None:
        assert self._factory is not None  # a site has a runner that has been set up
        sock.setblocking(False)
        await self._loop.connect_accepted_socket(self._factory, sock)

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        self._timers[do] = self._loop.call_later(seconds, do)
