"""What runs in a process that the supervisor has started: it hears its orders, and follows them."""

import signal
import socket

from aiohttp import web

from llm_router import keys, serving
from llm_router.app import create_ledger, create_worker
from llm_router.errors import RouterError
from llm_router.logs import set_up_logging
from llm_router.loop import Stop, on_signals, run
from llm_router.tasks import beside
from llm_router.turns import Turns
from llm_router.web.lifecycle import Crew
from llm_router.workers.control import (
    Announce,
    Cut,
    Drain,
    Failed,
    Line,
    Muster,
    Orders,
    Ready,
    open_line,
)


def main(fd: int) -> int:
    """Live as the process at the other end of the line says; return the exit status."""
    status = 0

    async def live() -> None:
        nonlocal status
        line = await open_line(socket.socket(fileno=fd))
        orders = await line.hear()
        if not isinstance(orders, Orders):
            return
        set_up_logging(orders.read_settings().log)
        try:
            await (_keep_books if orders.role == "ledger" else _serve)(orders, line)
        except RouterError as exc:
            line.say(Failed(str(exc)))
            status = 1
        finally:
            line.close()

    run(live())
    return status


async def _serve(orders: Orders, line: Line) -> None:
    settings = orders.read_settings()
    sockets = [socket.socket(fileno=fd) for fd in orders.sockets]
    stop = Stop(settings.server.drain_s)
    # Ctrl-C is the supervisor's to hear; it tells.
    on_signals(lambda: None, signal.SIGINT, signal.SIGHUP)
    on_signals(stop.ask, signal.SIGTERM)
    turns = None if orders.turns is None else Turns(orders.turns, orders.place)
    async with serving.taking_requests(create_worker(settings), settings, sockets, turns) as runner:
        serving.share_the_interpreter()
        line.say(Ready())
        serving.settle_in(runner.app)
        async with beside(_obey(line, stop, runner.app), name="orders"):
            await serving.until_stopped(runner, stop)


async def _obey(line: Line, stop: Stop, app: web.Application) -> None:
    """Do as the supervisor says; without one, nobody else may go on using its socket."""
    while (message := await line.hear()) is not None:
        match message:
            case Drain():
                stop.drain_s, stop.settle_s = message.drain_s, message.settle_s
                stop.first.set()
            case Cut():
                stop.first.set()
                stop.second.set()
            case Muster():
                app[keys.LIFECYCLE].crew = Crew(message.wanted, message.serving)
    stop.first.set()


async def _keep_books(orders: Orders, line: Line) -> None:
    """Write the database until told to stop, or, without a supervisor, until the last worker ends.

    Signals are not for this process: a service manager sends them to all at once, and workers
    need it to their end.
    """
    on_signals(lambda: None, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    settings = orders.read_settings()
    app = create_ledger(settings, orders.read_seed(), is_first=orders.is_first)
    runner = web.AppRunner(app)
    try:
        await runner.setup()
        line.say(Ready())
        while (message := await line.hear()) is not None:
            match message:
                case Announce():
                    app[keys.WRITER].announce(message.url, pid=message.pid)
                case Drain() | Cut():
                    return
        await app[keys.DESK].left_alone()
    finally:
        await runner.cleanup()
