"""GET /metrics: the ledger in numbers, as JSON for people and scripts or as Prometheus text.

JSON takes `since`, `until`, `group_by` (several with commas) and `bucket`. Grouped by model or
provider, the numbers are over upstream calls, classifier calls included, because a failed try costs
its own model: `attempts` counts the calls, `requests` those requests whose last call it was. In
all other groups, in `totals` and in `series` they are over requests.
"""

import asyncio
import os
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any

from aiohttp import hdrs, web

from llm_router import __version__
from llm_router.clock import utc_text
from llm_router.errors import Unavailable
from llm_router.keys import (
    ANSWERS,
    CATALOG,
    CLOCK,
    CONFIG,
    DATABASE,
    IN_FLIGHT,
    INGESTOR,
    JOURNAL,
    LIFECYCLE,
    OTHERS,
    SETTINGS,
    WATCHDOG,
)
from llm_router.ledger import segments
from llm_router.ledger.period import Period
from llm_router.ledger.report import BUCKETS, KEYS
from llm_router.load import Load
from llm_router.storage.counters import Counters, read_counters
from llm_router.storage.readiness import wal_bytes
from llm_router.storage.reports import MAX_GROUPS, report, totals
from llm_router.web.params import choice, choices, period, read_query
from llm_router.web.responses import json_answer
from llm_router.web.routes import Route, Scope
from llm_router.web.rows import catch_up

_PARAMETERS = ("since", "until", "group_by", "bucket", "format")
_FORMATS = ("json", "prometheus")
_JSON, _TEXT, _OPENMETRICS = "application/json", "text/plain", "application/openmetrics-text"
_NAMED = (_JSON, _TEXT, _OPENMETRICS)


async def metrics(request: web.Request) -> web.Response:
    query = read_query(request, _PARAMETERS)
    asked = _preferences(request.headers.get(hdrs.ACCEPT, ""))
    wanted = choice(query, "format", _FORMATS)
    if wanted == "prometheus" or (wanted is None and _prefers_text(asked)):
        return await _as_text(request, is_openmetrics=_OPENMETRICS in asked)
    return await _as_json(request, query)


async def _as_json(request: web.Request, query: Mapping[str, str]) -> web.Response:
    app = request.app
    now = app[CLOCK].wall()
    span = period(query, now)
    keys = choices(query, "group_by", KEYS)
    bucket = choice(query, "bucket", BUCKETS)
    # The question is what was asked, not what it means now: `since=24h` is the same all day.
    question = (query.get("since"), query.get("until"), keys, bucket)
    ask = partial(_numbers, app, span, keys, bucket, utc_text(now))
    numbers, is_stale = await app[ANSWERS].get(question, ask)
    return json_answer({**numbers, "stale": is_stale, "router": _router(app)})


async def _numbers(
    app: web.Application, span: Period, keys: tuple[str, ...], bucket: str | None, now: str
) -> dict[str, Any]:
    await catch_up(app)
    database = app[DATABASE]
    total = await totals(database, span)
    groups = await report(database, span, keys) if keys else []
    series = await report(database, span, (bucket,)) if bucket else []
    numbers: dict[str, Any] = {
        "since": span.since,
        "until": span.until or now,
        "totals": total.as_json(),
        "groups": [group.as_json() for group in groups],
        "series": [group.as_json() for group in series],
    }
    if len(groups) == MAX_GROUPS or len(series) == MAX_GROUPS:
        numbers["is_truncated"] = True
    return numbers


def _router(app: web.Application) -> dict[str, Any]:
    """Return what only this process knows."""
    return {
        "version": __version__,
        "pid": os.getpid(),
        "uptime_s": round(app[LIFECYCLE].uptime_s, 3),
        "in_flight": len(app[IN_FLIGHT]),
        "journal_backlog_bytes": app[JOURNAL].backlog_bytes,
    }


async def _as_text(request: web.Request, *, is_openmetrics: bool) -> web.Response:
    app = request.app
    config = app[CONFIG].current
    # Imported with the first scrape, and beside the loop: many routers are never scraped.
    prometheus = await asyncio.to_thread(import_module, "llm_router.web.prometheus")
    labels = prometheus.labels(config, app[SETTINGS].classifier.models)

    async def ask() -> Counters:
        await catch_up(app)
        return await read_counters(app[DATABASE], labels, utc_text(app[CLOCK].wall()))

    try:
        counters, is_stale = await app[ANSWERS].get(("prometheus", config.version), ask)
    except Unavailable:
        counters, is_stale = None, True  # the gauges that say so must not be missing, too
    path, fetched_at = app[SETTINGS].ledger.path, app[CATALOG].current.fetched_at
    state = prometheus.State(
        load=own_load(app) + app[OTHERS](),
        is_stale=is_stale,
        is_database_failing=app[INGESTOR].is_failing,
        is_journal_failing=app[JOURNAL].is_failing,
        journal_bytes=segments.total_bytes(app[SETTINGS].ledger.journals),
        wal_bytes=wal_bytes(path),
        list_age_s=None if fetched_at is None else max(0.0, app[CLOCK].wall() - fetched_at),
    )
    body, content_type = prometheus.render(counters, labels, state, is_openmetrics=is_openmetrics)
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})


def own_load(app: web.Application) -> Load:
    """Return what this process has in hand."""
    journal = app[JOURNAL]
    return Load(len(app[IN_FLIGHT]), journal.backlog_bytes, journal.dropped, app[WATCHDOG].blocks)


def _preferences(accept: str) -> dict[str, float]:
    """Return the media types that an Accept header names, in its order, each with its weight."""
    asked: dict[str, float] = {}
    for part in accept.split(","):
        media, *parameters = (field.strip() for field in part.split(";"))
        weights = [p[2:] for p in parameters if p.startswith("q=")]
        asked[media.lower()] = max(_weight(weights), asked.get(media.lower(), 0.0))
    return asked


def _weight(weights: list[str]) -> float:
    try:
        return float(weights[0]) if weights else 1.0
    except ValueError:
        return 0.0


def _prefers_text(asked: Mapping[str, float]) -> bool:
    """Prometheus names its formats; `*/*` means whatever we like best, which is JSON."""
    named = {media: weight for media, weight in asked.items() if media in _NAMED and weight > 0}
    # `max` keeps the first of equals: the order is the client's.
    return max(named, key=named.__getitem__, default=_JSON) != _JSON


ROUTES = (Route("GET", "/metrics", metrics, Scope.ADMIN),)
