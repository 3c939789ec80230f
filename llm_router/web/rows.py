"""Reading what was just written: rows follow the journal by a tenth of a second."""

import asyncio
import logging
from collections.abc import Awaitable

from aiohttp import web

from llm_router.errors import StorageError
from llm_router.keys import INGESTOR

log = logging.getLogger(__name__)

# The first is for answers that are right without, too; the second for what was changed.
READ_S = 0.5
CHANGE_S = 2.0


async def catch_up(app: web.Application) -> None:
    """Make rows of everything appended so far, if the database can do so now; never raises."""
    await _in_time(app[INGESTOR].flush(), READ_S)


async def share(app: web.Application, limit_s: float = CHANGE_S) -> None:
    """Let every worker act on what any of them has changed, this one included; never raises."""
    await _in_time(app[INGESTOR].share(), limit_s)


async def _in_time(rows: Awaitable[object], limit_s: float) -> None:
    # The ingestor itself says in the log when it cannot.
    try:
        async with asyncio.timeout(limit_s):
            await rows
    except (StorageError, OSError) as exc:
        log.debug("rows will follow later, the journal has them: %s", str(exc) or "no time")
