"""Restart the router under load, as a service manager does, and see whether a request fails.

The listening socket stays open in between, here as with systemd's socket activation: who connects
while one router has gone and the next has not come waits in its queue.
"""

import asyncio
import socket
import time
from pathlib import Path

from reliability.callers import Callers
from reliability.lives import open_nursery
from reliability.report import Report
from reliability.stage import scripted_upstream
from reliability.verdict import at_work, judge

_QUEUE = 1024


async def run(
    folder: Path, *, count: int, seed: int, requests_each: int = 600, callers: int = 8
) -> Report:
    """Restart `count` times, each after so many more requests."""
    began = time.monotonic()
    async with scripted_upstream() as upstream, open_nursery(upstream, folder) as nursery:
        address = ("127.0.0.1", nursery.port)
        with socket.create_server(address, backlog=_QUEUE) as listener:
            load = Callers(nursery.port, seed, count=callers, are_healthy=True)
            away_s = []
            async with at_work(load):
                life = await nursery.start(listener=listener)
                await life.ready()
                for number in range(1, count + 1):
                    while len(load.asked) < number * requests_each:  # noqa: ASYNC110 - no event
                        await asyncio.sleep(0.01)
                    stopped = time.monotonic()
                    await life.end()
                    life = await nursery.start(listener=listener)
                    await life.ready()
                    away_s.append(time.monotonic() - stopped)
            verdict = await judge(life, nursery, upstream, load)
    failed = [
        f"{each.session} failed: {each.answer.status} {each.answer.body[-200:]!r}"
        for each in load.asked
        if not each.answer.is_good
    ]
    facts = {
        "seed": seed,
        "restarts": count,
        "seconds": round(time.monotonic() - began),
        "requests_failed": len(failed),
        "longest_restart_ms": round(max(away_s) * 1000),
        **verdict.facts,
    }
    return Report("restarts", facts, [*failed, *verdict.problems])
