"""The parts of an application: each opens one thing, puts it under its key, and closes it.

`app.py` says which of them an application has, and in which order.
"""

from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import web

from llm_router import keys, platform
from llm_router.classify.build import build_classifier
from llm_router.classify.ollama import open_session
from llm_router.classify.shadow import Shadow
from llm_router.ledger.ingest import Ingestor
from llm_router.ledger.journal import open_journal
from llm_router.ledger.reconcile import Reconciler
from llm_router.proxy.sessions import Sessions
from llm_router.routing.breaker import Breakers
from llm_router.routing.gates import ACCOUNT
from llm_router.settings import Settings
from llm_router.storage import breakers as stored_breakers
from llm_router.storage import sessions as stored_sessions
from llm_router.storage.account import is_another_key
from llm_router.storage.config import ConfigStore
from llm_router.storage.ledger import SqliteLedger
from llm_router.storage.models import ModelStorage
from llm_router.storage.retention import run_retention
from llm_router.storage.rollup import run_rollup
from llm_router.storage.sqlite import open_database
from llm_router.storage.texts import run_forgetting
from llm_router.tasks import beside, spawn
from llm_router.upstream.client import UpstreamClient
from llm_router.upstream.models import ModelList
from llm_router.upstream.pool import open_pool
from llm_router.watchdog import watching_loop

GENERATION_TIMEOUT_S = 10.0


async def watchdog(app: web.Application) -> AsyncIterator[None]:
    async with watching_loop() as app[keys.WATCHDOG]:
        yield


async def database(app: web.Application) -> AsyncIterator[None]:
    async with open_database(app[keys.SETTINGS].ledger.path) as database:
        app[keys.DATABASE] = app[keys.WRITER] = database
        holder = app[keys.CONFIG]
        app[keys.CONFIG_STORE] = store = ConfigStore(database, holder)
        await store.load_or_seed(holder.current)
        yield


async def ledger(app: web.Application) -> AsyncIterator[None]:
    """Take in what earlier processes left before this one begins a journal of its own."""
    folder = app[keys.SETTINGS].ledger.journals
    ingestor = Ingestor(SqliteLedger(app[keys.WRITER]), folder, app[keys.CLOCK])
    await ingestor.recover()
    app[keys.INGESTOR] = ingestor
    task = spawn(ingestor.run(), name="ingest")
    yield
    await ingestor.drain()
    await task


async def journal(app: web.Application) -> AsyncIterator[None]:
    async with open_journal(app[keys.SETTINGS].ledger) as journal:
        app[keys.JOURNAL] = journal
        yield


async def sessions(app: web.Application) -> AsyncIterator[None]:
    """What conversations stay with, if they are to: as it was before the start."""
    app[keys.SESSIONS] = None
    if app[keys.SETTINGS].classifier.sticky == "session":
        table = app[keys.SESSIONS] = Sessions(app[keys.CLOCK], app[keys.JOURNAL].append)
        table.follow(await stored_sessions.load(app[keys.DATABASE]))
    yield


async def breakers(app: web.Application) -> AsyncIterator[None]:
    settings, journal = app[keys.SETTINGS], app[keys.JOURNAL]
    registry = Breakers(
        settings.breaker,
        app[keys.CLOCK],
        journal.append,
        lease_s=probe_lease_s(settings),
        boot_id=platform.boot_id(),
    )
    registry.restore(await stored_breakers.load(app[keys.DATABASE]))
    if is_another_key(settings):
        registry.reset(ACCOUNT)  # what a former key was refused says nothing about this one
    app[keys.BREAKERS] = registry
    yield


async def upstream(app: web.Application) -> AsyncIterator[None]:
    settings = app[keys.SETTINGS]
    async with open_pool(settings.deadlines, settings.upstream.base_url) as pool:
        app[keys.UPSTREAM] = UpstreamClient(pool, settings.upstream)
        yield


async def catalog(app: web.Application) -> AsyncIterator[None]:
    settings = app[keys.SETTINGS]
    models = ModelList(
        app[keys.UPSTREAM],
        app[keys.CATALOG],
        ModelStorage(app[keys.WRITER]),
        app[keys.CONFIG],
        app[keys.CLOCK],
        refresh_s=settings.models.refresh_s,
        classifiers=settings.classifier.models,
    )
    async with models.kept_fresh():
        yield


async def classifier(app: web.Application) -> AsyncIterator[None]:
    settings = app[keys.SETTINGS]
    async with open_session(settings.ollama.base_url, settings.deadlines) as session:
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


async def shadow(app: web.Application) -> AsyncIterator[None]:
    """A classifier of another mode, that is asked when a request is over."""
    settings = app[keys.SETTINGS]
    mode, clock, journal = settings.classifier.shadow, app[keys.CLOCK], app[keys.JOURNAL]
    app[keys.SHADOW] = None
    if mode == "off":
        yield
        return
    in_mode = settings.classifier.model_copy(update={"mode": mode})
    async with open_session(settings.ollama.base_url, settings.deadlines) as session:
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


async def upkeep(app: web.Application) -> AsyncIterator[None]:
    """Ask for costs that are missing, sum up past hours, delete what is too old to be kept."""
    database, clock, upstream = app[keys.WRITER], app[keys.CLOCK], app[keys.UPSTREAM]
    ledger_settings = app[keys.SETTINGS].ledger

    async def fetch(generation_id: str) -> tuple[int, Any]:
        return await upstream.get_json(
            "generation", {"id": generation_id}, timeout_s=GENERATION_TIMEOUT_S
        )

    jobs: dict[str, Coroutine[Any, Any, None]] = {
        "reconcile": Reconciler(SqliteLedger(database), fetch, clock).run(),
        "rollup": run_rollup(database, clock),
        "forget-texts": run_forgetting(database, ledger_settings.text_days, clock),
    }
    if days := ledger_settings.retention_days:
        jobs["retention"] = run_retention(database, days, clock)
    async with AsyncExitStack() as stack:
        for name, job in jobs.items():
            await stack.enter_async_context(beside(job, name=name))
        yield


def probe_lease_s(settings: Settings) -> float:
    """Return how long a probe may be silent: connecting, then the first word, and some more."""
    return settings.deadlines.connect_s + settings.deadlines.first_event_s + 5
