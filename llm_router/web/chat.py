"""POST /v1/chat/completions: read, decide, dispatch; and a row whatever happens."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from aiohttp import web

from llm_router import keys
from llm_router.classify.base import Classifier
from llm_router.classify.shadow import Shadow
from llm_router.clock import Clock
from llm_router.errors import ClientGone, HttpError, Unavailable
from llm_router.ledger.entry import Outcome
from llm_router.ledger.journal import Journal
from llm_router.logs import request_id as logged_request_id
from llm_router.proxy.body import parse_body
from llm_router.proxy.call import Context
from llm_router.proxy.classifier_book import ClassifierBook
from llm_router.proxy.deadline import Deadlines
from llm_router.proxy.dispatch import dispatch
from llm_router.proxy.exchange import Exchange
from llm_router.proxy.in_flight import InFlight
from llm_router.proxy.outlet import Outlet
from llm_router.proxy.plan import LineUp, make_plan
from llm_router.proxy.relay import ClientStream, ResponseCut
from llm_router.proxy.request_id import new_request_id
from llm_router.proxy.sessions import Sessions, session_of
from llm_router.proxy.texts import KeptStream
from llm_router.routing.breaker import Breakers
from llm_router.routing.catalog import CatalogHolder
from llm_router.routing.chain import Lineups
from llm_router.routing.config import ConfigHolder
from llm_router.routing.failures import FailureClass
from llm_router.settings import Settings
from llm_router.upstream.client import UpstreamClient
from llm_router.web.access import Access
from llm_router.web.body import read_body
from llm_router.web.lane import Lane, Service
from llm_router.web.middleware import as_http_error
from llm_router.web.outlet import AiohttpOutlet
from llm_router.web.preface import Preface, read_preface
from llm_router.web.responses import error_parts
from llm_router.web.routes import Route, Scope

CLIENT_CLOSED_REQUEST = 499  # nginx's word for a client that left before the status line


class Asked(Protocol):
    """A chat request behind its head, whoever took it."""

    async def body(self) -> bytes:
        """Return the body. Raises HttpError or ClientGone."""


@dataclass(frozen=True, slots=True)
class Chats:
    """Answers chat requests; all that this takes, gathered once the application is up."""

    settings: Settings
    access: Access
    clock: Clock
    journal: Journal
    in_flight: InFlight
    config: ConfigHolder
    catalog: CatalogHolder
    classifier: Classifier
    sessions: Sessions | None
    shadow: Shadow | None
    breakers: Breakers
    upstream: UpstreamClient
    line_up: LineUp
    deadlines: Deadlines

    @classmethod
    def of(cls, app: web.Application) -> "Chats":
        return cls(
            settings=app[keys.SETTINGS].at_hand(),
            access=app[keys.ACCESS],
            clock=app[keys.CLOCK],
            journal=app[keys.JOURNAL],
            in_flight=app[keys.IN_FLIGHT],
            config=app[keys.CONFIG],
            catalog=app[keys.CATALOG],
            classifier=app[keys.CLASSIFIER],
            sessions=app[keys.SESSIONS],
            shadow=app[keys.SHADOW],
            breakers=app[keys.BREAKERS],
            upstream=app[keys.UPSTREAM],
            line_up=Lineups().of,
            deadlines=Deadlines(),
        )

    async def answer(
        self, asked: Asked, outlet: Outlet, preface: Preface, exchange: Exchange
    ) -> None:
        """Answer through the outlet, and see to it that there is a row. Raises HttpError,
        ClientGone or ResponseCut where there is no answer.
        """
        task = asyncio.current_task(self.deadlines.loop)
        assert task is not None
        self.in_flight.add(task, exchange)
        try:
            await self._answer(asked, outlet, preface, exchange)
        except HttpError as exc:
            _finish(preface.client_key, exchange, "failed", exc.status, exc.type)
            raise
        except (asyncio.CancelledError, ClientGone) as exc:
            if exchange.is_cut and isinstance(exc, asyncio.CancelledError):
                task.uncancel()
                raise _shutting_down(preface.client_key, exchange) from None
            status = 200 if outlet.has_begun else CLIENT_CLOSED_REQUEST
            gone = FailureClass.CLIENT_GONE.value
            _finish(preface.client_key, exchange, "abandoned", status, gone)
            raise
        finally:
            if not exchange.is_finished:
                _finish(preface.client_key, exchange, "failed", 500, "internal")
            self.in_flight.remove(task)

    async def _answer(
        self, asked: Asked, outlet: Outlet, preface: Preface, exchange: Exchange
    ) -> None:
        settings = self.settings
        if len(self.in_flight) > settings.server.max_in_flight:
            raise Unavailable("The router answers as many requests as it may.", retry_after_s=1)
        body = parse_body(await asked.body(), preface.session)
        kept = self.sessions
        session = None if kept is None else session_of(kept, body, preface.client_key)
        name = body.session if session is None else session.name
        exchange.begin(body.model, body.is_stream, preface.client_key, name)
        config, catalog = self.config.current, self.catalog.current
        plan = await make_plan(
            body,
            preface.category,
            settings=settings,
            config=config,
            catalog=catalog,
            classifier=self.classifier,
            book=ClassifierBook(exchange),
            line_up=self.line_up,
            session=session,
        )
        exchange.decided(plan.decision)
        client = (KeptStream if settings.ledger.store_text else ClientStream)(outlet, settings)
        context = Context(
            settings=settings,
            upstream=self.upstream,
            deadlines=self.deadlines,
            breakers=self.breakers,
            catalog=catalog,
            clock=self.clock,
            exchange=exchange,
            body=body,
            client=client,
            headers=preface.to_upstream,
        )
        try:
            await dispatch(context, plan.chain)
        finally:
            if isinstance(client, KeptStream):
                self.journal.append(client.kept(exchange.id, self.clock.wall(), body))
            if plan.sticks_to is not None and exchange.answered_by is not None:
                plan.sticks_to.keep(plan.decision, exchange.answered_by)
            if self.shadow is not None and plan.prompt is not None and plan.judged is not None:
                self.shadow.compare(exchange.id, plan.prompt, config, plan.judged)


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Serve what aiohttp's server took."""
    chats = request.app[keys.CHATS]
    exchange = Exchange(request[keys.REQUEST_ID], chats.journal, chats.clock)
    request[keys.EXCHANGE] = exchange
    outlet = AiohttpOutlet(request)
    preface = read_preface(request.headers, request[keys.CLIENT_KEY])
    await chats.answer(_Taken(request), outlet, preface, exchange)
    assert outlet.response is not None
    return outlet.response


def on_lanes(app: web.Application) -> Service:
    """Return what serves ordinary chat requests without aiohttp."""
    settings, lifecycle = app[keys.SETTINGS], app[keys.LIFECYCLE]
    return Service(
        partial(_chat_on_lane, app),
        settings.deadlines.body_s,
        settings.server.max_body_mb * 1024 * 1024,
        lambda: lifecycle.is_draining,
    )


async def _chat_on_lane(app: web.Application, lane: Lane) -> None:
    """Serve what came on a lane."""
    chats = app[keys.CHATS]
    request_id = new_request_id()
    logged_request_id.set(request_id)
    exchange = None
    try:
        if (preface := lane.preface) is None:
            client_key = chats.access.check(lane, Scope.CLIENT)
            preface = lane.preface = read_preface(lane.headers, client_key)
        exchange = Exchange(request_id, chats.journal, chats.clock)
        await chats.answer(lane, lane, preface, exchange)
    except (ClientGone, ResponseCut):
        raise
    except Exception as exc:
        error = as_http_error(exc, "POST /v1/chat/completions", request_id)
        headers = {"x-router-request-id": request_id} if exchange is None else exchange.headers()
        await lane.whole(error.status, *error_parts(error, headers))


def _shutting_down(client_key: str | None, exchange: Exchange) -> Unavailable:
    """The router itself cancelled a request that had called nobody yet: its client is still there.

    What has called somebody is ended where it is called.
    """
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
        self._request = request

    async def body(self) -> bytes:
        return await read_body(self._request)


ROUTES = tuple(
    Route("POST", path, chat_completions, Scope.CLIENT)
    for path in ("/v1/chat/completions", "/chat/completions")
)
