"""The parts of a ledger process, which writes the database where several processes share the work.

It has what `parts.py` has for that, and a desk where workers ask for what only the writer can do.
"""

from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web

from llm_router import keys, platform
from llm_router.ledger.entry import BreakerChanged
from llm_router.link.server import Desk, open_desk
from llm_router.routing.breaker import Breakers
from llm_router.routing.gates import ACCOUNT
from llm_router.storage import breakers as stored_breakers
from llm_router.storage.account import is_another_key


async def begin_anew(app: web.Application) -> AsyncIterator[None]:
    """Settle, before the first worker begins, what the workers of an earlier start left behind."""
    await _settle(app, is_first=True)
    yield


async def take_over(app: web.Application) -> AsyncIterator[None]:
    """Go on where a ledger process stopped, while workers serve and perhaps probe."""
    await _settle(app, is_first=False)
    yield


async def _settle(app: web.Application, *, is_first: bool) -> None:
    settings, database = app[keys.SETTINGS], app[keys.WRITER]
    changes: list[BreakerChanged] = []
    registry = Breakers(
        settings.breaker, app[keys.CLOCK], changes.append, lease_s=0, boot_id=platform.boot_id()
    )
    rows = await stored_breakers.load(database)
    if is_first:
        registry.restore(rows)
    else:
        registry.follow(rows)
    if is_another_key(settings):
        registry.reset(ACCOUNT)
    await database.transact(partial(stored_breakers.write_changes, changes=changes))


async def desk(app: web.Application) -> AsyncIterator[None]:
    desk = app[keys.DESK] = Desk(
        app[keys.WRITER], app[keys.INGESTOR], app[keys.CONFIG_STORE], app[keys.CLOCK]
    )
    async with open_desk(desk, app[keys.SETTINGS].ledger.journals):
        yield
