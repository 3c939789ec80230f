"""A supervisor with its processes, found as an operator finds them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from llm_router.demo.upstream import DemoUpstream
from tests.integration.conftest import PATIENCE_S, eventually
from tests.integration.process import Server, serving


@dataclass
class Crew:
    server: Server
    wanted: int

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def supervisor(self) -> int:
        return self.server.process.pid

    def pids(self, role: str) -> list[int]:
        """Return the supervisor's processes of a role, the oldest first."""
        children = Path(f"/proc/{self.supervisor}/task/{self.supervisor}/children")
        try:
            found = [int(pid) for pid in children.read_text().split()]
        except FileNotFoundError:  # it has ended, and nobody is its any more
            return []
        return sorted(pid for pid in found if role in _command(pid))

    @property
    def workers(self) -> list[int]:
        return self.pids("worker")

    @property
    def ledger(self) -> int:
        [pid] = self.pids("ledger")
        return pid

    async def each(self, path: str) -> dict[int, Any]:
        """Ask over new connections until every worker has answered; what each said, by its pid."""
        answers: dict[int, Any] = {}

        async def all_answered() -> bool:
            # The connection stays on one worker, which says who it is.
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http:
                who = await _get(http, self.url + "/metrics")
                answers[who["router"]["pid"]] = await _get(http, self.url + path)
            return set(self.workers) <= answers.keys()

        await eventually(all_answered)
        return {pid: answers[pid] for pid in self.workers}

    async def until_complete(self) -> None:
        """Wait until as many serve as should, and all of them know it."""

        async def is_complete() -> bool:
            if len(self.workers) != self.wanted or len(self.pids("ledger")) != 1:
                return False
            with suppress(aiohttp.ClientError):
                async with aiohttp.ClientSession() as http:
                    health = await _get(http, self.url + "/health")
                    return bool(health["workers"]["serving"] == self.wanted)
            return False

        await eventually(is_complete)

    async def gone(self, pid: int) -> None:
        async def is_gone() -> bool:
            return not is_alive(pid)

        await eventually(is_gone)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except FileNotFoundError:
        return []


async def _get(http: aiohttp.ClientSession, url: str) -> Any:
    async with http.get(url) as response:
        return await response.json()


@asynccontextmanager
async def crew(
    upstream: DemoUpstream, folder: Path, count: int = 2, /, **environ: str
) -> AsyncIterator[Crew]:
    """Serve with so many workers; whoever is left at the end is killed."""
    environ = {"LLM_ROUTER_SERVER__WORKERS": str(count), **environ}
    async with serving(upstream, folder, **environ) as server:
        team = Crew(server, count)
        everybody = {*team.workers, team.ledger}
        try:
            yield team
            everybody |= {*team.workers, *team.pids("ledger")}
        finally:
            if server.process.returncode is None:
                server.stop()
                with suppress(TimeoutError):
                    async with asyncio.timeout(PATIENCE_S):
                        await server.process.wait()
            for pid in everybody:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
