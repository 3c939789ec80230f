"""Half an hour of everything at once: load, and a fault of some kind every few seconds.

Processes are killed, restarted and stopped; the database is locked; upstream fails, breaks off and
falls silent; crowds of clients come and go. In the end all the books are compared, as after kills.
The second half is one router's life, so that what piles up has time to: what it holds in the end
(memory, descriptors) must be what it held in the beginning.
"""

import asyncio
import random
import signal
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from llm_router.demo.upstream import DemoUpstream
from reliability.callers import Callers
from reliability.lives import UPSTREAM_KEY, Life, Nursery, open_nursery
from reliability.report import Report
from reliability.stage import locked, scripted_upstream, settled
from reliability.verdict import at_work, judge
from reliability.witness import Witness

_PAUSE_S = (1.0, 6.0)
_CALM_S = 3.0
_SAMPLES = 15  # in each half
# So that models come back, and one that falls silent is given up on, within the soak.
_ENVIRON = {
    "LLM_ROUTER_BREAKER__OPEN_S": "2",
    "LLM_ROUTER_DEADLINES__FIRST_EVENT_S": "2",
    "LLM_ROUTER_DEADLINES__IDLE_S": "2",
}
_MORE_MEMORY = 1.5  # at most: caches fill


class Soak:
    """The router under test and what is done to it."""

    def __init__(
        self, upstream: DemoUpstream, nursery: Nursery, listener: socket.socket, seed: int
    ) -> None:
        self.faults: Counter[str] = Counter()
        self.memory_mb: dict[int, float] = {}  # by the second
        self.descriptors_before = 0
        self._upstream = upstream
        self._nursery = nursery
        self._listener = listener
        self._chance = random.Random(seed)
        self._life: Life | None = None
        self._began = time.monotonic()
        self._left_alone_from = 0

    @property
    def life(self) -> Life:
        assert self._life is not None
        return self._life

    async def start(self) -> None:
        self._life = await self._nursery.start(listener=self._listener)
        await self._life.ready()

    async def run(self, seconds: float) -> None:
        """Do one thing after the other until the time is up."""
        survived = (
            self._stop,
            self._lock,
            self._crowd,
            self._refusing_upstream,
            self._breaking_upstream,
            self._silent_upstream,
        )
        await self._suffer((*survived, self._kill, self._restart), seconds / 2)
        await self._restart()
        self.descriptors_before = descriptors(self.life.pid)
        self._left_alone_from = len(self.memory_mb)
        await self._suffer(survived, seconds / 2)

    @property
    def memory_has_grown(self) -> bool:
        """Whether the second half's life held much more in its end than soon after it began."""
        held = list(self.memory_mb.values())[self._left_alone_from :]
        return len(held) > 1 and held[-1] > _MORE_MEMORY * held[0]

    async def _suffer(self, kinds: Sequence[Callable[[], Awaitable[None]]], seconds: float) -> None:
        ends = time.monotonic() + seconds
        sample_at = time.monotonic()
        while time.monotonic() < ends:
            await asyncio.sleep(self._chance.uniform(*_PAUSE_S))
            fault = self._chance.choice(kinds)
            self.faults[fault.__name__.strip("_").replace("_", " ")] += 1
            await fault()
            if time.monotonic() >= sample_at:
                sample_at += seconds / _SAMPLES
                second = round(time.monotonic() - self._began)
                self.memory_mb[second] = memory_mb(self.life.pid)

    async def _kill(self) -> None:
        await self.life.kill()
        await self.start()

    async def _restart(self) -> None:
        await self.life.end()
        await self.start()

    async def _stop(self) -> None:
        self.life.send(signal.SIGSTOP)
        await asyncio.sleep(self._chance.uniform(0.1, 2))
        self.life.send(signal.SIGCONT)

    async def _lock(self) -> None:
        with locked(self._nursery.database):
            await asyncio.sleep(self._chance.uniform(0.5, 8))

    async def _crowd(self) -> None:
        """Hundreds of clients who want nothing but to sit there."""
        crowd = [await asyncio.open_connection("127.0.0.1", self._nursery.port) for _ in range(300)]
        await asyncio.sleep(1)
        for _, writer in crowd:
            writer.close()

    async def _refusing_upstream(self) -> None:
        await self._misbehaving(status=self._chance.choice((429, 500, 502, 503)))

    async def _breaking_upstream(self) -> None:
        await self._misbehaving(drop=self._chance.randrange(0, 4))

    async def _silent_upstream(self) -> None:
        await self._misbehaving(stall=self._chance.choice((-1, 0, 2)), stall_ms=4_000)

    async def _misbehaving(self, **how: Any) -> None:
        """Have upstream do so to everybody for a while."""
        self._upstream.fail(**how)
        await asyncio.sleep(self._chance.uniform(0.5, 3))
        self._upstream.heal()


async def run(folder: Path, *, count: int, seed: int) -> Report:
    """Soak for `count` minutes."""
    began = time.monotonic()
    async with (
        scripted_upstream() as upstream,
        open_nursery(upstream, folder, environ=_ENVIRON) as nursery,
    ):
        with socket.create_server(("127.0.0.1", nursery.port), backlog=1024) as listener:
            soak = Soak(upstream, nursery, listener, seed)
            await soak.start()
            load = Callers(nursery.port, seed, pause_s=0.1)
            witness = Witness(nursery.port, seed, watches_breaker=False)
            await witness.configure()
            async with at_work(load, witness):
                await soak.run(60.0 * count)
            await settled(nursery.database)
            await asyncio.sleep(_CALM_S)
            descriptors_after = descriptors(soak.life.pid)
            verdict = await judge(soak.life, nursery, upstream, load, witness)
    problems = [*verdict.problems, *leaks(nursery)]
    if soak.memory_has_grown:
        problems.append("memory has grown")
    before = soak.descriptors_before
    if descriptors_after > before + 16:  # connections to upstream are kept for a while
        problems.append(f"{before} descriptors have become {descriptors_after}")
    facts = {
        "seed": seed,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "faults": dict(sorted(soak.faults.items())),
        "memory_mb_by_second": soak.memory_mb,
        "descriptors": [before, descriptors_after],
        **verdict.facts,
    }
    return Report("soak", facts, problems)


def leaks(nursery: Nursery) -> list[str]:
    """Return where our key or somebody's prompt has got to that it should not have."""
    found = []
    for file in (nursery.log, nursery.database):
        content = file.read_bytes()
        found += [
            f"{what} in {file.name}"
            for what, secret in (("the key", UPSTREAM_KEY.encode()), ("a prompt", b"chunks="))
            if secret in content
        ]
    return found


def memory_mb(pid: int) -> float:
    """Return a process's resident memory, 0 for one that is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
