"""The parts of a worker, in place of those that write the database: a ledger process does that.

It has the link to that process, reads the database by itself, and follows what changes there.
"""

from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web

from llm_router import keys, platform
from llm_router.link.client import open_link
from llm_router.link.remote import RemoteClaims, RemoteConfig, RemoteRows
from llm_router.parts import probe_lease_s
from llm_router.routing.probes import SharedBreakers
from llm_router.storage import breakers as stored_breakers
from llm_router.storage import sessions as stored_sessions
from llm_router.storage.config import refresh
from llm_router.storage.follow import React, follow
from llm_router.storage.models import load_catalog
from llm_router.storage.reader import open_reader
from llm_router.tasks import beside
from llm_router.web.metrics import own_load


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
