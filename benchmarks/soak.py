"""Whether a router that has much to do for a while holds more memory in the end."""

import asyncio
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from benchmarks.contestants import Contestant, Stage
from benchmarks.entrants import ALONE, Tools
from benchmarks.load import command
from benchmarks.memory import hold, memory_mb
from benchmarks.processes import ROOT, Cores, Failed, Processes, clean_environ, on_core
from benchmarks.prompts import Shape
from benchmarks.result import Result
from benchmarks.rounds import missing_rows
from benchmarks.table import Table
from llm_router.loop import run as run_loop

NAME = "soak"
TITLE = "Memory under a mixed load, on one process"
_SAMPLES = 12
_LEAVING = 200
_PATIENCE_S = 60.0
# Plain, streamed and long requests at once, by so many connections each.
_LOADS = (
    (Shape(), 1),
    (Shape(is_stream=True, chunks=20, gap_ms=50), 100),
    (Shape(body_kb=200), 1),
)


def run(seconds: float, cores: Cores | None) -> Table:
    """Return a table; Failed if an answer is not right or not in the ledger."""
    with tempfile.TemporaryDirectory(prefix="llm-router-benchmark-") as name:
        folder = Path(name)
        with Processes(folder) as processes:
            router = Stage(processes, cores, folder, Tools()).start(ALONE)
            samples, results = run_loop(_measured(router, seconds, cores))
        answered = sum(result.answered for result in results)
        bad = sum(result.bad for result in results) + missing_rows(router, answered)
    if bad:
        raise Failed(f"{bad} answers of the soak were not right or are not in the ledger")
    return _table(seconds, samples, answered)


async def _measured(
    router: Contestant, seconds: float, cores: Cores | None
) -> tuple[list[float], Sequence[Result]]:
    """Return the memory at even distances, and what each load found."""
    samples = [memory_mb(router)]
    loads = asyncio.gather(*(_load(router, load, seconds, cores) for load in _LOADS))
    try:
        async with asyncio.timeout(seconds + _PATIENCE_S):
            for _ in range(_SAMPLES):
                async with AsyncExitStack() as stack:  # clients that leave
                    await hold(stack, router, _LEAVING)
                await asyncio.sleep(seconds / _SAMPLES)
                samples.append(memory_mb(router))
            return samples, await loads
    except TimeoutError as exc:
        raise Failed("the router did not get through the soak") from exc
    finally:
        loads.cancel()


async def _load(
    router: Contestant, load: tuple[Shape, int], seconds: float, cores: Cores | None
) -> Result:
    ask = on_core(cores.load if cores else None, command(router.url, *load, 0, seconds))
    process = await asyncio.create_subprocess_exec(
        *ask, cwd=ROOT, env=clean_environ(), stdout=PIPE, stderr=PIPE
    )
    try:
        said, logged = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise Failed(f"the load generator failed: {logged.decode()}")
    return msgspec.json.decode(said, type=Result)


def _table(seconds: float, samples: Sequence[float], answered: int) -> Table:
    rows = []
    for number, held_mb in enumerate(samples):
        after_s = round(seconds * number / _SAMPLES)
        rows.append([f"{after_s // 60}:{after_s % 60:02}", f"{held_mb:.1f}"])
    left, grown_mb = _SAMPLES * _LEAVING, samples[-1] - samples[_SAMPLES // 2]
    done = f"{answered:,} answers, {left:,} clients that left"
    grown = f"{done}; {grown_mb:+.1f} MB over the second half."
    return Table(NAME, TITLE, ["after", "memory MB"], rows, grown)
