"""GET /health, /health/live and /health/ready, for people, monitors and orchestrators.

`degraded` still serves: Ollama is down, a breaker is open, rows wait in the journal. Only a
draining process is `unavailable`; restarting one because its provider is down would help nobody.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from aiohttp import web

from llm_router import __version__
from llm_router.clock import utc_text
from llm_router.errors import StorageError
from llm_router.keys import (
    ACCESS,
    BREAKERS,
    CATALOG,
    CLASSIFIER,
    CLOCK,
    CONFIG,
    DATABASE,
    INGESTOR,
    JOURNAL,
    LIFECYCLE,
    SETTINGS,
    SHADOW,
)
from llm_router.routing.snapshot import GATE, BreakerView
from llm_router.storage.readiness import schema_version
from llm_router.web.lifecycle import Crew
from llm_router.web.responses import json_answer
from llm_router.web.routes import Route, Scope

_DATABASE_WAIT_S = 1.0  # reports may keep its one reader busy for seconds


async def health(request: web.Request) -> web.Response:
    """Return the status, and to the admin everything behind it."""
    status = _status(request.app)
    if not request.app[ACCESS].is_admin(request):
        return _answer({"status": status})
    details = await _details(request.app)
    if status == "ok" and details["database"]["state"] == "failing":
        status = "degraded"  # reading it has shown what no row has met yet
    return _answer({"status": status, **details})


async def live(_request: web.Request) -> web.Response:
    """The process answers, which is all that a restart could cure."""
    return _answer({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """May new requests come here?"""
    return _answer({"status": _status(request.app)})


def _answer(body: dict[str, Any]) -> web.Response:
    return json_answer(
        body,
        status=503 if body["status"] == "unavailable" else 200,
        headers={"Cache-Control": "no-store"},
    )


def _status(app: web.Application) -> str:
    if app[LIFECYCLE].is_draining:
        return "unavailable"
    return "degraded" if any(_troubles(app)) else "ok"


def _troubles(app: web.Application) -> Iterator[bool]:
    """Yield for each part whether it is in trouble, the cheapest to ask first."""
    crew = app[LIFECYCLE].crew
    yield crew is not None and crew.serving < crew.wanted
    yield app[JOURNAL].is_failing or app[INGESTOR].is_failing
    yield any(state != "ok" for state in app[CLASSIFIER].status()["steps"].values())
    now = app[CLOCK].wall()
    yield any(_holds_back(view, now) for view in app[BREAKERS].views())


def _holds_back(view: BreakerView, now: float) -> bool:
    """An open breaker whose time is up waits for a request to try it; it holds nothing back."""
    if view.is_gate and view.cooldown_until is not None:
        return True
    return view.state == "open" and (view.until is None or view.until > now)


async def _details(app: web.Application) -> dict[str, Any]:
    config, catalog = app[CONFIG].current, app[CATALOG].current
    fetched_at = catalog.fetched_at
    views = app[BREAKERS].views()
    return {
        "version": __version__,
        "uptime_s": round(app[LIFECYCLE].uptime_s),
        "workers": _workers(app),
        "config_version": config.version,
        "database": await _database(app),
        "upstream": {v.subject.removeprefix(GATE): v.as_dict() for v in views if v.is_gate},
        "classifier": _classifier(app),
        "breakers": [v.as_dict() for v in views if _is_notable(v)],
        "models": {
            "listed": len(catalog.models),
            "fetched_at": None if fetched_at is None else utc_text(fetched_at),
            "gone": _gone(app, views),
        },
    }


def _gone(app: web.Application, views: Sequence[BreakerView]) -> dict[str, tuple[str, ...]]:
    """Return configured models that the list lacks or a call has found missing, with near names."""
    catalog = app[CATALOG].current
    configured = app[CONFIG].current.model_ids(*app[SETTINGS].classifier.models)
    missing = sorted(configured & {view.subject for view in views if view.is_gone})
    near = {id_: tuple(name for name in catalog.near(id_) if name != id_) for id_ in missing}
    return {**near, **catalog.gone(configured)}


def _classifier(app: web.Application) -> dict[str, Any]:
    status, shadow = app[CLASSIFIER].status(), app.get(SHADOW)
    return status if shadow is None else {**status, "shadow": shadow.status()}


def _workers(app: web.Application) -> dict[str, int]:
    crew = app[LIFECYCLE].crew or Crew(wanted=1, serving=1)
    return {"wanted": crew.wanted, "serving": crew.serving}


async def _database(app: web.Application) -> dict[str, Any]:
    journal, ingestor = app[JOURNAL], app[INGESTOR]
    state, version = "failing" if ingestor.is_failing else "ok", None
    try:
        async with asyncio.timeout(_DATABASE_WAIT_S):
            version = await schema_version(app[DATABASE])
    except TimeoutError:
        state = "busy"
    except StorageError:
        state = "failing"
    return {
        "state": state,
        "schema_version": version,
        "journal": "failing" if journal.is_failing else "ok",
        "journal_backlog_bytes": journal.backlog_bytes,
    }


def _is_notable(view: BreakerView) -> bool:
    return not view.is_gate and (view.state != "closed" or view.cooldown_until is not None)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/health", health, Scope.PUBLIC),
    Route("GET", "/health/live", live, Scope.PUBLIC),
    Route("GET", "/health/ready", ready, Scope.PUBLIC),
)
