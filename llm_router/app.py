"""Wiring: what the application consists of, in the order in which it comes up.

`cleanup_ctx` closes in reverse, so whatever stands below may use what stands above.
"""

from itertools import product

from aiohttp import web

from llm_router import keys, parts
from llm_router.clock import Clock, SystemClock
from llm_router.errors import RouterError
from llm_router.load import Load
from llm_router.proxy.in_flight import InFlight
from llm_router.routing.catalog import CatalogHolder
from llm_router.routing.config import ConfigHolder, RoutingConfig
from llm_router.settings import Settings
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
from llm_router.web.parser import NO_STRICT_PARSER, has_strict_parser
from llm_router.web.server import headers_arrived

_ROUTES = (front, health, chat, models, metrics, requests, breakers, config, explain)


def create_app(
    settings: Settings, seed: RoutingConfig, *, clock: Clock | None = None
) -> web.Application:
    """Return the application; `seed` fills the configuration of an empty database."""
    app = _serving(settings, seed, clock or SystemClock())
    app[keys.OTHERS] = Load  # none
    app.cleanup_ctx.extend(
        [
            parts.watchdog,
            parts.database,
            parts.ledger,
            parts.journal,
            parts.sessions,
            parts.breakers,
            parts.upstream,
            parts.catalog,
            parts.classifier,
            parts.shadow,
            parts.upkeep,
        ]
    )
    return app


def create_worker(settings: Settings, *, clock: Clock | None = None) -> web.Application:
    """Return one of several that serve beside each other, while a ledger process writes."""
    from llm_router import worker_parts  # of no use where one process does everything

    app = _serving(settings, RoutingConfig(0), clock or SystemClock())
    app.cleanup_ctx.extend(
        [
            parts.watchdog,
            worker_parts.reader,
            parts.journal,
            parts.sessions,
            worker_parts.link,
            worker_parts.shared_breakers,
            parts.upstream,
            worker_parts.stored_catalog,
            parts.classifier,
            parts.shadow,
            worker_parts.followed,
        ]
    )
    return app


def create_ledger(
    settings: Settings, seed: RoutingConfig, *, is_first: bool, clock: Clock | None = None
) -> web.Application:
    """Return what writes the database for workers and serves nobody itself.

    `is_first`: no worker has begun yet, so nobody can be probing.
    """
    from llm_router import ledger_parts

    app = web.Application()
    _common(app, settings, seed, clock or SystemClock())
    app.cleanup_ctx.extend(
        [
            parts.watchdog,
            parts.database,
            parts.ledger,
            ledger_parts.begin_anew if is_first else ledger_parts.take_over,
            parts.upstream,
            parts.catalog,
            parts.upkeep,
            ledger_parts.desk,
        ]
    )
    return app


def _common(app: web.Application, settings: Settings, seed: RoutingConfig, clock: Clock) -> None:
    if not has_strict_parser():
        raise RouterError(NO_STRICT_PARSER)
    app[keys.SETTINGS] = settings
    app[keys.CLOCK] = clock
    app[keys.CONFIG] = ConfigHolder(seed)
    app[keys.CATALOG] = CatalogHolder()


def _serving(settings: Settings, seed: RoutingConfig, clock: Clock) -> web.Application:
    """Return an application with all routes and nothing behind them yet."""
    app = web.Application(
        middlewares=[headers_arrived, errors, access],
        client_max_size=settings.server.max_body_mb * 1024 * 1024,
    )
    _common(app, settings, seed, clock)
    app[keys.IN_FLIGHT] = InFlight()
    app[keys.ACCESS] = Access(settings.server, clock)
    app[keys.LIFECYCLE] = Lifecycle(clock)
    app[keys.ANSWERS] = Answers(clock)
    app[keys.SCOPES] = {}
    for part in _ROUTES:
        for route in part.ROUTES:
            for method, path in product(route.methods, route.paths):
                added = app.router.add_route(
                    method, path, route.handler, expect_handler=expect_later
                )
                app[keys.SCOPES][added] = route.scope
    app.on_response_prepare.append(plain_headers)
    app.on_startup.append(_gather)
    return app


async def _gather(app: web.Application) -> None:
    """All parts are open by now: aiohttp calls this after their contexts were entered."""
    app[keys.CHATS] = chat.Chats.of(app)
