"""The parts that stand in where several processes share the work: a ledger process and workers.

The ledger process has everything that writes the database, and a desk where workers ask for it.
A worker has the link to that desk, reads the database by itself, and follows what changes there.
"""

from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web

from llm_router import keys, platform
from llm_router.ledger.entry import BreakerChanged
from llm_router.link.client import open_link
from llm_router.link.remote import RemoteClaims, RemoteConfig, RemoteRows
from llm_router.link.server import Desk, open_desk
from llm_router.parts import probe_lease_s
from llm_router.routing.breaker import ACCOUNT, Breakers
from llm_router.routing.probes import SharedBreakers
from llm_router.storage import breakers as stored_breakers
from llm_router.storage import sessions as stored_sessions
from llm_router.storage.account import is_another_key
from llm_router.storage.config import refresh
from llm_router.storage.follow import React, follow
from llm_router.storage.models import load_catalog
from llm_router.storage.reader import open_reader
from llm_router.tasks import beside
from llm_router.web.metrics import own_load

# In the ledger process


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


# In a worker


async def reader(app: web.Application) -> AsyncIterator[None]:
    async with open_reader(app[keys.SETTINGS].ledger.path) as database:
        app[keys.DATABASE] = database
        await refresh(database, app[keys.CONFIG])
        yield


async def link(app: web.Application) -> AsyncIterator[None]:
    """Have what only the ledger process does, and tell the others what is going on here."""
    async with open_link(app[keys.SETTINGS].ledger.journals) as link:
        rows = RemoteRows(link, partial(own_load, app))
        configs = RemoteConfig(link, app[keys.DATABASE], app[keys.CONFIG])
        app[keys.LINK], app[keys.INGESTOR], app[keys.CONFIG_STORE] = link, rows, configs
        app[keys.OTHERS] = lambda: rows.others
        app[keys.SEEN] = rows.seen
        async with beside(rows.run(), name="pulse"):
            yield


async def shared_breakers(app: web.Application) -> AsyncIterator[None]:
    settings = app[keys.SETTINGS]
    app[keys.BREAKERS] = registry = SharedBreakers(
        settings.breaker,
        app[keys.CLOCK],
        app[keys.JOURNAL].append,
        lease_s=probe_lease_s(settings),
        boot_id=platform.boot_id(),
        claims=RemoteClaims(app[keys.LINK]),
    )
    registry.take_up(await stored_breakers.load(app[keys.DATABASE]))
    yield


async def stored_catalog(app: web.Application) -> AsyncIterator[None]:
    app[keys.CATALOG].current = await load_catalog(app[keys.DATABASE])
    yield


async def followed(app: web.Application) -> AsyncIterator[None]:
    """Put in force here what other processes change."""
    async with open_reader(app[keys.SETTINGS].ledger.path) as database:

        async def config(_: int | None) -> None:
            await refresh(database, app[keys.CONFIG])

        async def breakers(after: int | None) -> None:
            app[keys.BREAKERS].follow(await stored_breakers.load(database, after=after))

        async def models(_: str | None) -> None:
            app[keys.CATALOG].current = await load_catalog(database)

        async def sessions(after: int | None) -> None:
            if (table := app[keys.SESSIONS]) is not None:
                table.follow(await stored_sessions.load(database, after=after))

        reactions: dict[str, React] = {
            "config": config,
            "breakers": breakers,
            "sessions": sessions,
            "models": models,
        }
        async with beside(follow(database, reactions, app[keys.SEEN]), name="follow"):
            yield
