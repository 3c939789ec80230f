"""What an open stream costs in memory, and whether it comes back."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import proc
from benchmarks.contestants import Contestant, Stage
from benchmarks.entrants import ALONE, Tools
from benchmarks.processes import Cores, Failed, Processes
from benchmarks.prompts import Shape, requests
from benchmarks.table import Table, render
from llm_router.loop import run as run_loop

NAME = "memory"
TITLE = "Streams that are open and say nothing, on one process"
_STREAMS = (1_000, 3_000, 5_000)
_AT_ONCE = 100
_PATIENCE_S = 60.0
_SETTLE_S = 2.0
# One chunk at once, the next after an hour.
_SHAPE = Shape(is_stream=True, chunks=2, gap_ms=3_600_000)


def run(rounds: int, cores: Cores | None) -> Table:
    """Open streams, hold them, close them, and again; return a table."""
    with tempfile.TemporaryDirectory(prefix="llm-router-benchmark-") as name:
        folder = Path(name)
        with Processes(folder) as processes:
            router = Stage(processes, cores, folder, Tools()).start(ALONE)
            rows = run_loop(_measured(router, rounds))
    return Table(NAME, TITLE, ["", "streams", "memory MB", "KB a stream"], rows)


async def _measured(router: Contestant, rounds: int) -> list[list[str]]:
    empty_mb = memory_mb(router)
    rows = [_row("at rest", 0, empty_mb)]
    for number in range(1, rounds + 1):
        async with AsyncExitStack() as stack:
            count = 0
            for wanted in _STREAMS:
                await hold(stack, router, wanted - count)
                count = wanted
                await asyncio.sleep(_SETTLE_S)
                held_mb = memory_mb(router)
                rows.append(_row(f"round {number}", count, held_mb, held_mb - empty_mb))
        await asyncio.sleep(_SETTLE_S)
        rows.append(_row("closed", 0, memory_mb(router)))
    return rows


async def hold(stack: AsyncExitStack, router: Contestant, count: int) -> None:
    """Open streams that say one thing and then nothing; they break off as the stack ends."""
    place = urlsplit(router.url)
    asks = list(islice(requests(place.netloc, place.path, _SHAPE), count))
    for number in range(0, count, _AT_ONCE):
        async with asyncio.timeout(_PATIENCE_S):
            some = (_stream(router, ask) for ask in asks[number:][:_AT_ONCE])
            await asyncio.gather(*map(stack.enter_async_context, some))


@asynccontextmanager
async def _stream(router: Contestant, ask: bytes) -> AsyncIterator[None]:
    """Hold a stream whose first chunk has come."""
    place = urlsplit(router.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        writer.write(ask)
        await reader.readuntil(b"data: {")
        yield
    finally:
        writer.transport.abort()


def memory_mb(router: Contestant) -> float:
    """Return what a router holds now; Failed where that cannot be read."""
    held_mb = proc.memory_mb(router.pid) if router.pid else None
    if held_mb is None:
        raise Failed("memory can be read on Linux only")
    return held_mb


def _row(title: str, streams: int, held_mb: float, added_mb: float = 0) -> list[str]:
    each = f"{added_mb * 1024 / streams:.1f}" if streams else ""
    return [title, f"{streams:,}", f"{held_mb:.1f}", each]


if __name__ == "__main__":
    sys.stdout.write(render(run(2, None)))
