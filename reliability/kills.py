"""Kill the router at random moments under load, and see whether a row is missing or untrue.

Moments are spread over all of a life: while it starts and takes in what its predecessor left, while
it serves, while it drains. Clients and an operator go on through all of it.
"""

import asyncio
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

_STARTING_S, _SERVING_S, _DRAINING_S = 0.15, 0.5, 0.5
_ANSWERED_S = 30.0


async def run(folder: Path, *, count: int, seed: int, callers: int = 8) -> Report:
    """Kill `count` routers, then let one end in peace and compare."""
    chance = random.Random(seed)
    began = time.monotonic()
    moments: Counter[str] = Counter()
    async with (
        scripted_upstream() as upstream,
        open_nursery(upstream, folder, environ={"LLM_ROUTER_BREAKER__OPEN_S": "86400"}) as nursery,
    ):
        load = Callers(nursery.port, seed, count=callers)
        witness = Witness(nursery.port, seed)
        life = await nursery.start()
        await life.ready()
        await witness.configure()
        await life.end()
        async with at_work(load, witness):
            for _ in range(count):
                moments[await _kill(await nursery.start(), witness, chance)] += 1
            life = await nursery.start()
            await life.ready()
            await _whole_answers(load)
        verdict = await judge(life, nursery, upstream, load, witness)
    facts = {
        "seed": seed,
        "kills": dict(moments),
        "seconds": round(time.monotonic() - began),
        "upstream_calls": len(upstream.calls()),
        "restarts_compared": witness.checks,
        **verdict.facts,
    }
    return Report("kills", facts, verdict.problems)


async def _whole_answers(load: Callers) -> None:
    """Wait until somebody has one, however busy the machine, or clearly nobody gets any."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_ANSWERED_S):
            while not any(each.answer.is_good for each in load.asked):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)


async def _kill(life: Life, witness: Witness, chance: random.Random) -> str:
    """End a life that has just begun; return which part of it that was."""
    draw = chance.random()
    moment = "starting" if draw < 0.25 else "draining" if draw < 0.35 else "serving"
    if moment == "starting":
        await asyncio.sleep(chance.uniform(0, _STARTING_S))
    else:
        await life.ready()
        if draw > 0.6:
            with suppress(OSError):
                await witness.check()
        await asyncio.sleep(chance.uniform(0, _SERVING_S))
    if moment == "draining":
        life.send(signal.SIGTERM)
        await asyncio.sleep(chance.uniform(0, _DRAINING_S))
    await life.kill()
    return moment
