"""Wiring: what the application consists of, in the order in which it comes up.

`cleanup_ctx` closes in reverse, so whatever stands below may use what stands above.
"""

import asyncio
from collections.abc import AsyncIterator
from itertools import product
from typing import Any

from aiohttp import web

from llm_router import keys, platform
from llm_router.classify.build import build_classifier
from llm_router.classify.ollama import open_session
from llm_router.classify.shadow import Shadow
from llm_router.clock import Clock, SystemClock
from llm_router.ledger.ingest import Ingestor
from llm_router.ledger.journal import open_journal
from llm_router.ledger.reconcile import Reconciler
from llm_router.proxy.in_flight import InFlight
from llm_router.proxy.sessions import Sessions
from llm_router.routing.breaker import ACCOUNT, Breakers
from llm_router.routing.catalog import CatalogHolder
from llm_router.routing.config import ConfigHolder, RoutingConfig
from llm_router.settings import Settings
from llm_router.storage import breakers as stored_breakers
from llm_router.storage.account import is_another_key
from llm_router.storage.config import ConfigStore
from llm_router.storage.ledger import SqliteLedger
from llm_router.storage.models import ModelStorage
from llm_router.storage.retention import run_retention
from llm_router.storage.rollup import run_rollup
from llm_router.storage.sqlite import open_database
from llm_router.tasks import spawn
from llm_router.upstream.client import UpstreamClient
from llm_router.upstream.models import ModelList
from llm_router.upstream.pool import open_pool
from llm_router.web import (
    breakers,
    chat,
    config,
    explain,
    front,
    health,
    metrics,
    models,
    requests,
)
from llm_router.web.access import Access
from llm_router.web.answers import Answers
from llm_router.web.body import expect_later
from llm_router.web.lifecycle import Lifecycle
from llm_router.web.middleware import access, errors, plain_headers
from llm_router.web.server import headers_arrived

GENERATION_TIMEOUT_S = 10.0
_PARTS = (front, health, chat, models, metrics, requests, breakers, config, explain)


def create_app(
    settings: Settings, seed: RoutingConfig, *, clock: Clock | None = None
) -> web.Application:
    """Return the application; `seed` fills the configuration of an empty database."""
    app = web.Application(
        middlewares=[headers_arrived, errors, access],
        client_max_size=settings.server.max_body_mb * 1024 * 1024,
    )
    clock = clock or SystemClock()
    app[keys.SETTINGS] = settings
    app[keys.CLOCK] = clock
    app[keys.CONFIG] = ConfigHolder(seed)
    app[keys.CATALOG] = CatalogHolder()
    app[keys.IN_FLIGHT] = InFlight()
    app[keys.SESSIONS] = Sessions(clock) if settings.classifier.sticky == "session" else None
    app[keys.ACCESS] = Access(settings.server, clock)
    app[keys.LIFECYCLE] = Lifecycle(clock)
    app[keys.ANSWERS] = Answers(clock)
    app[keys.SCOPES] = {}
    for part in _PARTS:
        for route in part.ROUTES:
            for method, path in product(route.methods, route.paths):
                added = app.router.add_route(
                    method, path, route.handler, expect_handler=expect_later
                )
                app[keys.SCOPES][added] = route.scope
    app.cleanup_ctx.extend(
        [_database, _ledger, _journal, _breakers, _upstream, _catalog, _classifier, _shadow, _costs]
    )
    app.on_response_prepare.append(plain_headers)
    return app


async def _database(app: web.Application) -> AsyncIterator[None]:
    async with open_database(app[keys.SETTINGS].ledger.path) as database:
        app[keys.DATABASE] = database
        holder = app[keys.CONFIG]
        app[keys.CONFIG_STORE] = ConfigStore(database, holder)
        await app[keys.CONFIG_STORE].load_or_seed(holder.current)
        yield


async def _ledger(app: web.Application) -> AsyncIterator[None]:
    """Take in what earlier processes left before this one begins a journal of its own."""
    folder = app[keys.SETTINGS].ledger.journals
    ingestor = Ingestor(SqliteLedger(app[keys.DATABASE]), folder, app[keys.CLOCK])
    await ingestor.recover()
    app[keys.INGESTOR] = ingestor
    task = spawn(ingestor.run(), name="ingest")
    yield
    await ingestor.drain()
    await task


async def _journal(app: web.Application) -> AsyncIterator[None]:
    async with open_journal(app[keys.SETTINGS].ledger) as journal:
        app[keys.JOURNAL] = journal
        yield


async def _breakers(app: web.Application) -> AsyncIterator[None]:
    settings, journal = app[keys.SETTINGS], app[keys.JOURNAL]
    registry = Breakers(
        settings.breaker,
        app[keys.CLOCK],
        journal.append,
        lease_s=settings.deadlines.connect_s + settings.deadlines.first_event_s + 5,
        boot_id=platform.boot_id(),
    )
    registry.restore(await stored_breakers.load(app[keys.DATABASE]))
    if is_another_key(settings):
        registry.reset(ACCOUNT)  # what a former key was refused says nothing about this one
    app[keys.BREAKERS] = registry
    yield


async def _upstream(app: web.Application) -> AsyncIterator[None]:
    settings = app[keys.SETTINGS]
    async with open_pool(settings.deadlines, settings.upstream.base_url) as pool:
        app[keys.UPSTREAM] = UpstreamClient(pool, settings.upstream)
        yield


async def _catalog(app: web.Application) -> AsyncIterator[None]:
    models = ModelList(
        app[keys.UPSTREAM],
        app[keys.CATALOG],
        ModelStorage(app[keys.DATABASE]),
        app[keys.CONFIG],
        app[keys.CLOCK],
        refresh_s=app[keys.SETTINGS].models.refresh_s,
    )
    async with models.kept_fresh():
        yield


async def _classifier(app: web.Application) -> AsyncIterator[None]:
    settings = app[keys.SETTINGS]
    async with open_session(settings.deadlines) as session:
        classifier = build_classifier(
            settings,
            app[keys.CLOCK],
            session,
            app[keys.UPSTREAM],
            app[keys.CATALOG],
            app[keys.CONFIG],
            lambda model: app[keys.BREAKERS].peek(model) is not None,
        )
        app[keys.CLASSIFIER] = classifier
        await classifier.start()
        yield
        await classifier.close()


async def _shadow(app: web.Application) -> AsyncIterator[None]:
    """A classifier of another mode, that is asked when a request is over."""
    settings = app[keys.SETTINGS]
    mode, clock, journal = settings.classifier.shadow, app[keys.CLOCK], app[keys.JOURNAL]
    app[keys.SHADOW] = None
    if mode == "off":
        yield
        return
    in_mode = settings.classifier.model_copy(update={"mode": mode})
    async with open_session(settings.deadlines) as session:
        classifier = build_classifier(
            settings.model_copy(update={"classifier": in_mode}),
            clock,
            session,
            app[keys.UPSTREAM],
            app[keys.CATALOG],
            app[keys.CONFIG],
            lambda _: False,
        )
        await classifier.start()
        shadow = app[keys.SHADOW] = Shadow(mode, classifier, journal.append, clock)
        yield
        await shadow.close()
        await classifier.close()


async def _costs(app: web.Application) -> AsyncIterator[None]:
    """Ask for costs that are missing, sum up past hours, prune what is too old to be kept raw."""
    database, clock, upstream = app[keys.DATABASE], app[keys.CLOCK], app[keys.UPSTREAM]

    async def fetch(generation_id: str) -> tuple[int, Any]:
        return await upstream.get_json(
            "generation", {"id": generation_id}, timeout_s=GENERATION_TIMEOUT_S
        )

    tasks: list[asyncio.Task[Any]] = [
        spawn(Reconciler(SqliteLedger(database), fetch, clock).run(), name="reconcile"),
        spawn(run_rollup(database, clock), name="rollup"),
    ]
    if days := app[keys.SETTINGS].ledger.retention_days:
        tasks.append(spawn(run_retention(database, days, clock), name="retention"))
    yield
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
