"""What a server does to breakers when it is asked to, done to their rows while none runs.

Both functions return what its route would answer.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from llm_router import platform
from llm_router.clock import SystemClock
from llm_router.errors import NotFound
from llm_router.ledger.entry import BreakerChanged
from llm_router.ledger.ingest import Ingestor
from llm_router.routing.breaker import Breakers
from llm_router.routing.gate_state import Forced
from llm_router.routing.gates import ALL
from llm_router.routing.names import safe
from llm_router.routing.near import or_near
from llm_router.settings_load import Loaded
from llm_router.storage.breakers import load, write_changes
from llm_router.storage.config import current
from llm_router.storage.ledger import SqliteLedger
from llm_router.storage.lock import journal_folder
from llm_router.storage.sqlite import open_database


async def reset(loaded: Loaded, path: Path, name: str) -> dict[str, Any]:
    """Let a model, a gate or all of them in again."""
    async with _taken_up(loaded, path, name, {ALL}) as (breakers, subject):
        cleared = breakers.reset(subject)
    return {"reset": subject, "cleared": cleared or []}


async def force(loaded: Loaded, path: Path, name: str, to: Forced | None) -> dict[str, Any]:
    """Hold a model's breaker at a state; None leaves it to itself."""
    async with _taken_up(loaded, path, name, set()) as (breakers, subject):
        breakers.force(subject, to)
    return {"model": subject, "forced": to}


@asynccontextmanager
async def _taken_up(
    loaded: Loaded, path: Path, name: str, words: set[str]
) -> AsyncIterator[tuple[Breakers, str]]:
    """Take up the rows as a server does at its start; write what the block changes."""
    changes: list[BreakerChanged] = []
    clock = SystemClock()
    breakers = Breakers(
        loaded.settings.breaker, clock, changes.append, lease_s=0, boot_id=platform.boot_id()
    )
    async with open_database(path) as database:
        # What a server that died has left in its journal would undo the change at the next start.
        await Ingestor(SqliteLedger(database), journal_folder(path), clock).recover()
        rows = await load(database)
        config = await current(database) or loaded.seed
        known = {row.subject for row in rows} | config.model_ids() | words
        subject = config.model_id(name)
        if subject not in known:
            raise NotFound(
                f"no model {safe(name)} has been called or configured{or_near(name, known)}"
            )
        breakers.restore(rows)
        yield breakers, subject
        await database.transact(partial(write_changes, changes=changes))
