"""Kill workers and the ledger process at random under load, and see whether a row is missing.

One supervisor lives through it all. Others go on serving while a victim is replaced; now and then
all processes are restarted one after another, as after an upgrade.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from reliability.callers import Callers
from reliability.lives import Life, open_nursery
from reliability.report import Report
from reliability.stage import scripted_upstream
from reliability.verdict import at_work, judge
from reliability.witness import Witness

_WORKERS = 2
_PAUSE_S = (0.1, 2.0)
_ALL_THERE_S = 60.0


async def run(folder: Path, *, count: int, seed: int) -> Report:
    """Kill `count` processes, then let the rest end in peace and compare."""
    chance, began = random.Random(seed), time.monotonic()
    victims: Counter[str] = Counter()
    environ = {"LLM_ROUTER_SERVER__WORKERS": str(_WORKERS), "LLM_ROUTER_BREAKER__OPEN_S": "2"}
    async with (
        scripted_upstream() as upstream,
        open_nursery(upstream, folder, environ=environ) as nursery,
    ):
        life = await nursery.start()
        await life.ready()
        load = Callers(nursery.port, seed)
        witness = Witness(nursery.port, seed, watches_breaker=False, hears_in_s=1)
        await witness.configure()
        async with at_work(load, witness):
            for _ in range(count):
                await asyncio.sleep(chance.uniform(*_PAUSE_S))
                if chance.random() < 0.05:
                    life.send(signal.SIGHUP)
                    victims["nobody: all were restarted"] += 1
                else:
                    victims[_kill_one(life, chance)] += 1
                with suppress(OSError):
                    await witness.check()
            await _all_there(life)
        verdict = await judge(life, nursery, upstream, load, witness)
    facts = {
        "seed": seed,
        "workers": _WORKERS,
        "killed": dict(sorted(victims.items())),
        "seconds": round(time.monotonic() - began),
        **verdict.facts,
    }
    return Report("crew", facts, verdict.problems)


def _kill_one(life: Life, chance: random.Random) -> str:
    """Kill one of the supervisor's processes; return what it was."""
    processes = _children(life.pid)
    if not processes:
        return "nobody: there was none"
    pid = chance.choice(processes)
    what = "a worker"
    with suppress(OSError):
        # The one that writes has the lock file open.
        if any(link.readlink().name == "writer.lock" for link in Path(f"/proc/{pid}/fd").iterdir()):
            what = "the ledger process"
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return what


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(each) for task in tasks for each in (task / "children").read_text().split()]


async def _all_there(life: Life) -> None:
    async with asyncio.timeout(_ALL_THERE_S):
        while len(_children(life.pid)) < _WORKERS + 1:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.1)
