"""Routers to kill: started in moments, found on the same port, and watched as they die."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from llm_router.demo.upstream import DemoUpstream

ROOT = Path(__file__).resolve().parent.parent
UPSTREAM_KEY = "sk-or-canary-upstream"
_READY = b"llm-router serves at "
_PATIENCE_S = 60.0


class DidNotStart(Exception):
    """Says what the router said last."""


@dataclass
class Life:
    """One router from its fork on. `pidfd` becomes readable when it is gone."""

    pid: int
    pidfd: int
    log: Path
    said: asyncio.StreamReader
    pipe: asyncio.ReadTransport
    is_gone: bool = False

    async def ready(self) -> None:
        """Wait until it takes requests, once; raise DidNotStart if it never will."""
        async with asyncio.timeout(_PATIENCE_S):
            line = await self.said.readline()
        if not line.startswith(_READY):
            raise DidNotStart(self.log.read_text().rpartition("llm-router: ")[2].strip())

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    async def end(self) -> None:
        """Ask it to end, as service managers do, and wait until it has."""
        if not self.is_gone:
            self.send(signal.SIGTERM)
            await self.gone()

    async def briefly(self) -> None:
        """Wait until it takes requests, and end it."""
        await self.ready()
        await self.end()

    async def kill(self) -> None:
        """End it now, unless it is gone already."""
        if not self.is_gone:
            self.send(signal.SIGKILL)
            await self.gone()

    async def gone(self) -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.pidfd, over.set)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await over.wait()
        finally:
            loop.remove_reader(self.pidfd)
            self.is_gone = True
            os.close(self.pidfd)
            self.pipe.close()
            await asyncio.sleep(0)  # transports close in the loop's next turn


class Nursery:
    """Where routers for one folder come from. Made by `open_nursery`."""

    def __init__(
        self, orders: socket.socket, pid: int, folder: Path, environ: Mapping[str, str]
    ) -> None:
        self.pid = pid
        self.folder = folder
        self.log = folder / "log"
        self.port = free_port()
        self._orders = orders
        self._environ = {**environ, "ROUTER_PORT": str(self.port)}

    @property
    def database(self) -> Path:
        return self.folder / "router.db"

    async def start(
        self, *, listener: socket.socket | None = None, environ: Mapping[str, str] | None = None
    ) -> Life:
        """Fork a router; it is not ready yet. Exactly one may have the database at a time."""
        order = {"folder": str(self.folder), "environ": {**self._environ, **(environ or {})}}
        out, into = os.pipe()
        with self.log.open("ab") as log:
            fds = [into, log.fileno(), *([listener.fileno()] if listener else [])]
            socket.send_fds(self._orders, [json.dumps(order).encode()], fds)
            os.close(into)
            pid = int(await asyncio.to_thread(self._orders.recv, 64))
        return Life(pid, os.pidfd_open(pid), self.log, *await _reading(out))


@contextmanager
def _nursing(
    environ: Mapping[str, str], within: Sequence[str]
) -> Iterator[tuple[socket.socket, int]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            process = subprocess.Popen(
                [*within, sys.executable, "-m", "reliability.nursery", str(theirs.fileno())],
                cwd=ROOT,
                env={**os.environ, **environ},
                pass_fds=[theirs.fileno()],
            )
        try:
            yield ours, process.pid
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            process.wait()


@asynccontextmanager
async def open_nursery(
    upstream: DemoUpstream,
    folder: Path,
    *,
    preload: Path | None = None,
    within: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[Nursery]:
    """Fork routers until the block ends.

    `preload` is a shim that every router of this nursery runs under, `within` a command that runs
    another one in surroundings of its own.
    """
    settings = {
        "OPENROUTER_API_KEY": UPSTREAM_KEY,
        "OPENROUTER_BASE_URL": upstream.url,
        "OLLAMA_BASE_URL": upstream.ollama_url,
        "ROUTING_MODE": "keywords",
        "ROUTER_DB": str(folder / "router.db"),
        **(environ or {}),
    }
    with _nursing({"LD_PRELOAD": str(preload)} if preload else {}, within) as (orders, pid):
        yield Nursery(orders, pid, folder, settings)


def free_port() -> int:
    """Return a port that no outgoing connection takes while the router is away."""
    while True:
        port = random.SystemRandom().randrange(15_000, 30_000)
        with socket.socket() as trial, suppress(OSError):
            trial.bind(("127.0.0.1", port))
            return port


async def _reading(fd: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    loop = asyncio.get_running_loop()
    pipe, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(fd, "rb"))
    return reader, pipe
