"""Several sites at one listening socket, and which of them takes a connection."""

import asyncio
import logging
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from llm_router.settings import DeadlineSettings
from llm_router.turns import Turns
from llm_router.web import fair_site
from llm_router.web.fair_site import FairSite
from llm_router.web.server import Runner
from tests.fakes.server import GET
from tests.fakes.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")


@pytest.fixture
def listener() -> socket.socket:
    """A socket as the supervisor binds it; each site is given a copy."""
    sock = socket.socket()
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    return sock


@asynccontextmanager
async def sites(
    listener: socket.socket, places: Sequence[int], crew: Turns
) -> AsyncIterator[list[Runner]]:
    """Serve at these places, in one process, each answering with its place."""
    runners = []
    for place in places:
        app = web.Application()

        async def answer(_: web.Request, place: int = place) -> web.Response:
            return web.Response(text=str(place))

        app.router.add_get("/", answer)
        runner = Runner(app, DeadlineSettings())
        await runner.setup()
        site = FairSite(runner, listener.dup(), 128, Turns(os.dup(crew.fd), place))
        assert str(listener.getsockname()[1]) in site.name
        await site.start()
        runners.append(runner)
    try:
        yield runners
    finally:
        for runner in runners:
            await runner.cleanup()
        listener.close()


def connect(listener: socket.socket, count: int) -> list[socket.socket]:
    """Connect so many clients at once, before anybody can take the first."""
    clients = [socket.socket() for _ in range(count)]
    for client in clients:
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
    return clients


async def answered(clients: Sequence[socket.socket]) -> list[bytes]:
    loop = asyncio.get_running_loop()
    answers = []
    for client in clients:
        await loop.sock_sendall(client, GET)
        answers.append((await loop.sock_recv(client, 4096)).rpartition(b"\r\n\r\n")[2])
        client.close()
    return answers


async def test_clients_that_come_at_once_are_shared_out(listener: socket.socket) -> None:
    async with sites(listener, (0, 1), Turns.among(2)) as runners:
        clients = connect(listener, 32)
        await until(lambda: sum(len(runner.clients()) for runner in runners) == 32)
        assert all(14 <= len(runner.clients()) <= 18 for runner in runners)
        assert len(await answered(clients)) == 32


async def test_whoever_lost_its_clients_takes_the_next(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fair_site, "_COUNT_S", 0.01)
    async with sites(listener, (0, 1), Turns.among(2)) as runners:
        clients = connect(listener, 8)
        await until(lambda: sum(len(runner.clients()) for runner in runners) == 8)
        for connection in runners[0].clients():
            connection.drop()
        await until(lambda: not runners[0].clients())
        await asyncio.sleep(0.05)  # until it has counted
        clients += connect(listener, 3)
        await until(lambda: len(runners[0].clients()) == 3)
        for client in clients:
            client.close()


async def test_what_a_worker_that_hangs_does_not_take_others_do(listener: socket.socket) -> None:
    crew = Turns.among(2)
    Turns(os.dup(crew.fd), 1).has(0)  # there, with nothing to do, and yet it takes none
    async with sites(listener, (0,), crew) as [runner]:
        clients = connect(listener, 12)
        await until(lambda: len(runner.clients()) == 12)
        assert await answered(clients) == [b"0"] * 12


def test_nobody_gives_way_to_a_worker_that_has_left() -> None:
    crew = Turns.among(3)
    first, second = (Turns(os.dup(crew.fd), place) for place in (0, 1))
    first.has(100)
    assert first.is_ours()  # alone
    second.has(90)
    assert first.is_ours()  # an eighth less is as good as equal
    second.has(80)
    assert not first.is_ours()
    assert second.is_ours()
    crew.leaves(1)
    assert first.is_ours()


async def test_out_of_descriptors_it_says_so_and_takes_connections_later(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fair_site, "_NO_ROOM_S", 0.05)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with sites(listener, (0,), Turns.among(1)):
        client = socket.socket()
        client.setblocking(False)
        resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, limits[1]))
        held: list[int] = []
        try:
            while len(held) < 4096:
                held.append(os.dup(client.fileno()))
        except OSError:
            client.connect_ex(listener.getsockname())
            await until(lambda: caplog.records)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for fd in held:
                os.close(fd)
        assert await answered([client]) == [b"0"]
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR][:1]
    assert "no connections can be taken" in record.message
