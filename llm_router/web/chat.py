"""POST /v1/chat/completions: read, decide, dispatch; and a row whatever happens."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Protocol

from aiohttp import web

from llm_router.errors import ClientGone, HttpError, Unavailable
from llm_router.keys import (
    ACCESS,
    BREAKERS,
    CATALOG,
    CLASSIFIER,
    CLIENT_KEY,
    CLOCK,
    CONFIG,
    EXCHANGE,
    IN_FLIGHT,
    JOURNAL,
    LIFECYCLE,
    REQUEST_ID,
    SESSIONS,
    SETTINGS,
    SHADOW,
    UPSTREAM,
)
from llm_router.ledger.entry import Outcome
from llm_router.logs import request_id as logged_request_id
from llm_router.proxy.body import parse_body
from llm_router.proxy.call import Context
from llm_router.proxy.dispatch import dispatch
from llm_router.proxy.exchange import ClassifierBook, Exchange, new_request_id
from llm_router.proxy.outlet import Outlet
from llm_router.proxy.plan import make_plan
from llm_router.proxy.relay import ClientStream, ResponseCut
from llm_router.proxy.sessions import session_of
from llm_router.proxy.texts import KeptStream
from llm_router.routing.failures import FailureClass
from llm_router.upstream.headers import for_upstream
from llm_router.web.body import read_body
from llm_router.web.lane import Lane, Service
from llm_router.web.middleware import as_http_error
from llm_router.web.outlet import AiohttpOutlet
from llm_router.web.responses import error_parts
from llm_router.web.routes import Route, Scope

SESSION_HEADER = "x-session-id"
CATEGORY_HEADER = "x-router-category"
CLIENT_CLOSED_REQUEST = 499  # nginx's word for a client that left before the status line


class Asked(Protocol):
    """A chat request, whoever took it: `headers` are found by their lower-case names."""

    @property
    def headers(self) -> Mapping[str, str]: ...

    async def body(self) -> bytes:
        """Return the body. Raises HttpError or ClientGone."""


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Serve what aiohttp's server took."""
    exchange = Exchange(request[REQUEST_ID], request.app[JOURNAL], request.app[CLOCK])
    request[EXCHANGE] = exchange
    outlet = AiohttpOutlet(request)
    await answer(request.app, _Taken(request), outlet, request[CLIENT_KEY], exchange)
    assert outlet.response is not None
    return outlet.response


def on_lanes(app: web.Application) -> Service:
    """Return what serves ordinary chat requests without aiohttp."""
    settings, lifecycle = app[SETTINGS], app[LIFECYCLE]
    return Service(
        partial(_chat_on_lane, app),
        settings.deadlines.body_s,
        settings.server.max_body_mb * 1024 * 1024,
        lambda: lifecycle.is_draining,
    )


async def _chat_on_lane(app: web.Application, lane: Lane) -> None:
    """Serve what came on a lane."""
    request_id = new_request_id()
    logged_request_id.set(request_id)
    exchange = None
    try:
        client_key = app[ACCESS].check(lane, Scope.CLIENT)
        exchange = Exchange(request_id, app[JOURNAL], app[CLOCK])
        await answer(app, lane, lane, client_key, exchange)
    except (ClientGone, ResponseCut):
        raise
    except Exception as exc:
        error = as_http_error(exc, "POST /v1/chat/completions", request_id)
        headers = {"x-router-request-id": request_id} if exchange is None else exchange.headers()
        await lane.whole(error.status, *error_parts(error, headers))


async def answer(
    app: web.Application, asked: Asked, outlet: Outlet, client_key: str | None, exchange: Exchange
) -> None:
    """Answer through the outlet, and see to it that there is a row. Raises HttpError, ClientGone
    or ResponseCut where there is no answer.
    """
    with app[IN_FLIGHT].holding(exchange):
        try:
            await _answer(app, asked, outlet, client_key, exchange)
        except HttpError as exc:
            _finish(client_key, exchange, "failed", exc.status, exc.type)
            raise
        except (asyncio.CancelledError, ClientGone) as exc:
            if exchange.is_cut and isinstance(exc, asyncio.CancelledError):
                raise _shutting_down(client_key, exchange) from None
            status = 200 if exchange.first_chunk_ms is not None else CLIENT_CLOSED_REQUEST
            _finish(client_key, exchange, "abandoned", status, FailureClass.CLIENT_GONE.value)
            raise
        finally:
            _finish(client_key, exchange, "failed", 500, "internal")


async def _answer(
    app: web.Application, asked: Asked, outlet: Outlet, client_key: str | None, exchange: Exchange
) -> None:
    settings = app[SETTINGS]
    if len(app[IN_FLIGHT]) > settings.server.max_in_flight:
        raise Unavailable("The router answers as many requests as it may.", retry_after_s=1)
    raw = await asked.body()
    headers = for_upstream(asked.headers)
    body = parse_body(raw, headers.get(SESSION_HEADER))
    session = session_of(app[SESSIONS], body, client_key)
    name = body.session if session is None else session.name
    exchange.begin(body.model, body.is_stream, client_key, name)
    config, catalog = app[CONFIG].current, app[CATALOG].current
    plan = await make_plan(
        body,
        asked.headers.get(CATEGORY_HEADER),
        settings=settings,
        config=config,
        catalog=catalog,
        classifier=app[CLASSIFIER],
        book=ClassifierBook(exchange),
        session=session,
    )
    exchange.decided(plan.decision)
    client = (KeptStream if settings.ledger.store_text else ClientStream)(outlet, settings)
    context = Context(
        settings=settings,
        upstream=app[UPSTREAM],
        breakers=app[BREAKERS],
        catalog=catalog,
        clock=app[CLOCK],
        exchange=exchange,
        body=body,
        client=client,
        headers=headers,
    )
    try:
        await dispatch(context, plan.chain)
    finally:
        if isinstance(client, KeptStream):
            app[JOURNAL].append(client.kept(exchange.id, app[CLOCK].wall(), body))
        if plan.sticks_to is not None and exchange.answered_by is not None:
            plan.sticks_to.keep(plan.decision, exchange.answered_by)
        shadow = app[SHADOW]
        if shadow is not None and plan.prompt is not None and plan.judged is not None:
            shadow.compare(exchange.id, plan.prompt, config, plan.judged)


def _shutting_down(client_key: str | None, exchange: Exchange) -> Unavailable:
    """The router itself cancelled a request that had called nobody yet: its client is still there.

    What has called somebody is ended where it is called.
    """
    if (task := asyncio.current_task()) is not None:
        task.uncancel()
    error = Unavailable("The router is shutting down.", retry_after_s=5)
    _finish(client_key, exchange, "failed", error.status, error.type)
    return error


def _finish(
    client_key: str | None, exchange: Exchange, outcome: Outcome, status: int, error_class: str
) -> None:
    """Write the row if it is still owed, also for a body that could not be read."""
    if not exchange.is_begun:
        exchange.begin(None, False, client_key, None)
    exchange.finish(outcome, status, error_class)


class _Taken:
    """What aiohttp's server took, as it is asked about."""

    def __init__(self, request: web.Request) -> None:
        self.headers: Mapping[str, str] = request.headers
        self._request = request

    async def body(self) -> bytes:
        return await read_body(self._request)


ROUTES = tuple(
    Route("POST", path, chat_completions, Scope.CLIENT)
    for path in ("/v1/chat/completions", "/chat/completions")
)
