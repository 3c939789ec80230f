"""What every run needs around the router: an upstream that forgets nothing, and an end."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

from llm_router.demo.upstream import DemoUpstream, serve
from reliability.callers import BROKEN, WOBBLY
from reliability.lives import UPSTREAM_KEY

_EVERY_CALL = 10_000_000
_SETTLE_S = 300.0


@asynccontextmanager
async def scripted_upstream() -> AsyncIterator[DemoUpstream]:
    """Serve the demo upstream; generations are known as soon as they have ended."""
    # That routers die in the middle of its answers is what it is there for.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    demo = DemoUpstream(
        extra=[WOBBLY, BROKEN],
        generation_polls=0,
        comments=0,
        api_key=UPSTREAM_KEY,
        keep=_EVERY_CALL,
    )
    async with serve(demo):
        yield demo


async def settled(database: Path) -> bool:
    """Wait until every cost that can be known is; False if that takes too long."""
    ends = time.monotonic() + _SETTLE_S
    while time.monotonic() < ends:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            waiting = connection.execute("SELECT count(*) FROM reconciliations").fetchone()[0]
            flying = connection.execute(
                "SELECT count(*) FROM attempts WHERE outcome IS NULL"
            ).fetchone()[0]
        if not waiting and not flying:
            return True
        await asyncio.sleep(0.2)
    return False


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Keep everybody else from writing, as somebody does who forgot a transaction in a shell."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def left_over(database: Path) -> Iterator[str]:
    """Yield what a router that ended in peace should not have left behind."""
    for file in database.with_name(database.name + "-journals").iterdir():
        if file.suffix in (".journal", ".damaged"):
            yield f"{file.name} is still there"


def tracebacks(log: Path) -> list[str]:
    """Return the last line of every traceback in a log."""
    found, is_inside = [], False
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("Traceback"):
            is_inside = True
        elif is_inside and line and not line.startswith(" "):
            found.append(f"a traceback in the log: {line}")
            is_inside = False
    return found
