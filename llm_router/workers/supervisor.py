"""Watching over the processes: start, replace, restart one after another, and end in order."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from msgspec import structs

from llm_router import listening
from llm_router.errors import RouterError
from llm_router.loop import Stop, on_signals
from llm_router.routing.config import RoutingConfig
from llm_router.settings import Settings
from llm_router.tasks import spawn
from llm_router.turns import Turns
from llm_router.workers.control import Announce, Drain, Muster, Orders, orders
from llm_router.workers.process import start
from llm_router.workers.run import Ready, Reload
from llm_router.workers.slot import Slot

log = logging.getLogger(__name__)


async def supervise(
    settings: Settings,
    seed: RoutingConfig,
    count: int,
    ready: Ready,
    reload: Reload | None = None,
) -> None:
    """Serve with so many workers until SIGTERM or SIGINT; SIGHUP restarts them one by one.

    RouterError when the first of them cannot start.
    """
    sockets = listening.bind(settings.server)
    try:
        supervisor = Supervisor(settings, seed, count, sockets, reload)
        await supervisor.run(ready)
    finally:
        for sock in sockets:
            sock.close()


class Supervisor:
    def __init__(
        self,
        settings: Settings,
        seed: RoutingConfig,
        count: int,
        sockets: Sequence[socket.socket],
        reload: Reload | None,
    ) -> None:
        self._settings = settings
        self._seed = seed
        self._sockets = sockets
        self._reload = reload
        self._url = listening.url(sockets)
        self._stop = Stop(settings.server.drain_s)
        self._restart = asyncio.Event()
        self._turns = Turns.among(count)
        self._books_are_open = asyncio.Event()
        self._ledger = Slot("the ledger process", self._ledger_orders, self._muster)
        in_turn = partial(start, turn=self._books_are_open.wait)
        self._workers = [
            Slot(
                f"worker {place + 1}",
                partial(self._worker_orders, place),
                self._muster,
                start=in_turn,
            )
            for place in range(count)
        ]

    async def run(self, ready: Ready) -> None:
        on_signals(self._stop.ask, signal.SIGINT, signal.SIGTERM)
        on_signals(self._restart.set, signal.SIGHUP)
        tasks = []
        try:
            await self._begin()
            ready(self._url)
            slots = (self._ledger, *self._workers)
            tasks = [spawn(slot.keep_filled(), name=f"keep {slot.name}") for slot in slots]
            tasks.append(spawn(self._restart_on_request(), name="restart"))
            await self._stop.first.wait()
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            await self._end()

    async def _begin(self) -> None:
        """Start everybody at once; workers have their turn when the database is as they need it."""
        filling = asyncio.gather(*(each.fill() for each in self._workers), return_exceptions=True)
        try:
            await self._ledger.fill()
        except BaseException:
            filling.cancel()
            with suppress(asyncio.CancelledError):
                await filling
            raise
        self._books_are_open.set()
        for outcome in await filling:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _end(self) -> None:
        """Workers first: to the last they have something to write."""
        for sock in self._sockets:
            sock.close()  # what is still queued there would wait for nobody
        ending = spawn(self._end_workers(), name="end-workers")
        hurried = spawn(self._stop.second.wait(), name="hurry")
        await asyncio.wait((ending, hurried), return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            for worker in self._workers:
                worker.cut()
        await ending
        hurried.cancel()
        await self._ledger.empty(0.0)

    async def _end_workers(self) -> None:
        drain_s = self._settings.server.drain_s
        await asyncio.gather(*(worker.empty(drain_s) for worker in self._workers))

    async def _restart_on_request(self) -> None:
        while True:
            await self._restart.wait()
            self._restart.clear()
            try:
                await self._restart_all()
            except RouterError as exc:
                log.error("the restart goes no further: %s", exc)
            else:
                log.info("every process has been restarted")

    async def _restart_all(self) -> None:
        """Have every process replaced by one with the settings as they are now."""
        if self._reload is not None:
            settings, self._seed = self._reload()
            self._settings = _beside(settings, self._settings)
        await self._ledger.restart()
        for worker in self._workers:
            # Nobody is in a hurry: no stream and no idle connection lasts longer than this.
            limits = self._settings.deadlines
            await worker.replace(Drain(limits.total_s, limits.connection_idle_s))

    def _ledger_orders(self) -> Orders:
        is_first = not self._books_are_open.is_set()
        return orders("ledger", self._settings, self._seed, is_first=is_first)

    def _worker_orders(self, place: int) -> Orders:
        given = orders("worker", self._settings, self._seed, is_first=False)
        sockets = tuple(sock.fileno() for sock in self._sockets)
        return structs.replace(given, sockets=sockets, turns=self._turns.fd, place=place)

    def _muster(self) -> None:
        """Tell everybody who is there."""
        for place, worker in enumerate(self._workers):
            if worker.process is None:
                self._turns.leaves(place)
        serving_now = sum(worker.process is not None for worker in self._workers)
        for worker in self._workers:
            worker.say(Muster(len(self._workers), serving_now))
        if serving_now:
            self._ledger.say(Announce(self._url, os.getpid()))


def _beside(settings: Settings, running: Settings) -> Settings:
    """Return settings with which new processes can work beside those that run."""
    kept = ("host", "port", "workers")
    server = settings.server.model_copy(
        update={name: getattr(running.server, name) for name in kept}
    )
    ledger = settings.ledger.model_copy(update={"path": running.ledger.path})
    if (server, ledger) != (settings.server, settings.ledger):
        log.warning("another host, port, number of workers or ledger.path takes a stop and a start")
    return settings.model_copy(update={"server": server, "ledger": ledger})
