"""One serving process: bind, say so, wait for a signal, drain.

The order of a shutdown: readiness off, no new connections, a moment for requests already on the
wire, streams run to their end, what is left after `drain_s` is ended honestly.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from aiohttp import web

from llm_router import collector, keys, listening
from llm_router.app import create_app
from llm_router.errors import RouterError
from llm_router.loop import Stop, on_signals
from llm_router.routing.config import RoutingConfig
from llm_router.settings import Settings
from llm_router.tasks import launch
from llm_router.turns import Turns
from llm_router.web import chat
from llm_router.web.fair_site import FairSite
from llm_router.web.server import Runner

log = logging.getLogger(__name__)

SETTLE_S = 0.4  # how long a request sent before the client could know of the stop may travel
CUT_S = 5.0
_LOOK_AGAIN_S = 0.1
_SETTLE_IN_S = 0.1  # whoever waits for the start has seen it by then
_BACKLOG = 1024


@asynccontextmanager
async def running(settings: Settings, seed: RoutingConfig) -> AsyncIterator[tuple[Runner, str]]:
    """Serve for as long as the block runs; yields the runner and the URL.

    Raises RouterError when the address cannot be bound or the database cannot be opened.
    """
    app = create_app(settings, seed)
    sockets = listening.bind(settings.server)
    url = listening.url(sockets)
    async with taking_requests(app, settings, sockets) as runner:
        app[keys.WRITER].announce(url)
        yield runner, url


@asynccontextmanager
async def taking_requests(
    app: web.Application,
    settings: Settings,
    sockets: Sequence[socket.socket],
    turns: Turns | None = None,
) -> AsyncIterator[Runner]:
    """Open the application, then take requests from the sockets until the block ends.

    `turns` shares them out where other processes take them, too.
    """
    runner = Runner(app, settings.deadlines, chat.on_lanes(app))
    try:
        await _open(runner)
        for sock in sockets:
            await _accept(runner, sock, settings, turns)
        yield runner
    finally:
        await runner.cleanup()
        for sock in sockets:
            sock.close()


async def _open(runner: Runner) -> None:
    try:
        await runner.setup()
    except RuntimeError as exc:
        # What Python says when the system refuses a thread has no type of its own.
        if "new thread" not in str(exc):
            raise
        raise RouterError(
            "this machine gives the router no thread; raise its limit of processes (`ulimit -u`, "
            "TasksMax=, --pids-limit)"
        ) from exc


async def _accept(
    runner: Runner, sock: socket.socket, settings: Settings, turns: Turns | None
) -> None:
    site = (
        web.SockSite(runner, sock, backlog=_BACKLOG)
        if turns is None
        else FairSite(runner, sock, _BACKLOG, turns)
    )
    try:
        await site.start()
    except OSError as exc:
        raise listening.cannot_listen(settings.server, exc) from exc


async def drain(runner: Runner, drain_s: float, settle_s: float | None = None) -> None:
    """Stop taking requests, let those in flight finish, and end what is left.

    For `settle_s` connections may stay that are idle. Each is closed with its next answer, which
    says so; closing it earlier might cross a request that is on its way.
    """
    app = runner.app
    app[keys.LIFECYCLE].is_draining = True
    for site in runner.sites:
        await site.stop()
    await _settled(runner, SETTLE_S if settle_s is None else settle_s)
    if runner.server is not None:
        runner.server.pre_shutdown()  # idle connections; a busy one closes after its answer
    in_flight = app[keys.IN_FLIGHT]
    if len(in_flight):
        log.info("finishing what is in flight (%d), for at most %g s", len(in_flight), drain_s)
    if not await in_flight.drained(drain_s):
        log.warning("ending what still runs (%d)", len(in_flight))
        in_flight.cut_all()
        await in_flight.drained(CUT_S)


async def _settled(runner: Runner, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    # What is in the listening socket's queue has no connection yet, so SETTLE_S pass in any case.
    await asyncio.sleep(min(SETTLE_S, seconds))
    while runner.clients() and loop.time() < ends:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(_LOOK_AGAIN_S)


async def serve(settings: Settings, seed: RoutingConfig, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` gets the URL once requests are taken."""
    async with running(settings, seed) as (runner, url):
        stop = Stop(settings.server.drain_s)
        on_signals(stop.ask, signal.SIGINT, signal.SIGTERM)
        if sys.platform != "win32":
            # A terminal sends it when it closes, everybody else to have settings read again.
            on_signals(stop.ask if os.isatty(0) else _cannot_reload, signal.SIGHUP)
        share_the_interpreter()
        ready(url)
        settle_in(runner.app)
        await until_stopped(runner, stop)


def settle_in(app: web.Application) -> None:
    """Do soon what a start need not wait for; a prompt that comes earlier waits for its part."""

    async def warm_up() -> None:
        await asyncio.sleep(_SETTLE_IN_S)
        await app[keys.CLASSIFIER].warm()
        collector.rest()

    launch(warm_up(), name="warm-up")


def _cannot_reload() -> None:
    log.warning("SIGHUP reads settings again with several workers only; this one goes on as it is")


async def until_stopped(runner: Runner, stop: Stop) -> None:
    """Serve until asked to stop, then drain."""
    await stop.first.wait()
    draining = asyncio.ensure_future(drain(runner, stop.drain_s, stop.settle_s))
    hurried = asyncio.ensure_future(stop.second.wait())
    await asyncio.wait((draining, hurried), return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not draining.done():
        draining.cancel()
        with suppress(asyncio.CancelledError):
            await draining
        runner.app[keys.IN_FLIGHT].cut_all()
        await runner.app[keys.IN_FLIGHT].drained(CUT_S)


def share_the_interpreter() -> None:
    """Let requests go before the thread that writes rows.

    A thread that wants the interpreter's lock waits for whoever has it, by default 5 ms: an event
    loop would wait that long behind a batch of rows.
    """
    sys.setswitchinterval(0.0005)
