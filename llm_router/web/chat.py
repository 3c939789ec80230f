"""POST /v1/chat/completions: read, decide, dispatch; and a row whatever happens."""

import asyncio

from aiohttp import hdrs, web

from llm_router.errors import (
    ClientGone,
    HttpError,
    InvalidRequest,
    PayloadTooLarge,
    RequestTimeout,
    Unavailable,
    UnsupportedMediaType,
)
from llm_router.keys import (
    BREAKERS,
    CATALOG,
    CLASSIFIER,
    CLIENT_KEY,
    CLOCK,
    CONFIG,
    EXCHANGE,
    IN_FLIGHT,
    JOURNAL,
    REQUEST_ID,
    SESSIONS,
    SETTINGS,
    SHADOW,
    UPSTREAM,
)
from llm_router.ledger.entry import Outcome
from llm_router.proxy.body import parse_body
from llm_router.proxy.call import Context
from llm_router.proxy.dispatch import dispatch
from llm_router.proxy.exchange import ClassifierBook, Exchange
from llm_router.proxy.plan import make_plan
from llm_router.proxy.relay import ClientStream
from llm_router.proxy.sessions import session_of
from llm_router.routing.failures import FailureClass
from llm_router.upstream.headers import for_upstream
from llm_router.web.routes import Route, Scope

SESSION_HEADER = "x-session-id"
CATEGORY_HEADER = "x-router-category"
CLIENT_CLOSED_REQUEST = 499  # nginx's word for a client that left before the status line


async def chat_completions(request: web.Request) -> web.StreamResponse:
    app = request.app
    exchange = Exchange(request[REQUEST_ID], app[JOURNAL], app[CLOCK])
    request[EXCHANGE] = exchange
    with app[IN_FLIGHT].holding(exchange):
        try:
            return await _answer(request, exchange)
        except HttpError as exc:
            _finish(request, exchange, "failed", exc.status, exc.type)
            raise
        except (asyncio.CancelledError, ClientGone) as exc:
            if exchange.is_cut and isinstance(exc, asyncio.CancelledError):
                raise _shutting_down(request, exchange) from None
            status = 200 if exchange.first_chunk_ms is not None else CLIENT_CLOSED_REQUEST
            _finish(request, exchange, "abandoned", status, FailureClass.CLIENT_GONE.value)
            raise
        finally:
            _finish(request, exchange, "failed", 500, "internal")


async def _answer(request: web.Request, exchange: Exchange) -> web.StreamResponse:
    app, settings = request.app, request.app[SETTINGS]
    if len(app[IN_FLIGHT]) > settings.server.max_in_flight:
        raise Unavailable("The router answers as many requests as it may.", retry_after_s=1)
    raw = await read_body(request)
    headers = for_upstream(request.headers)
    body = parse_body(raw, headers.get(SESSION_HEADER))
    session = session_of(app[SESSIONS], body, request[CLIENT_KEY])
    name = body.session if session is None else session.name
    exchange.begin(body.model, body.is_stream, request[CLIENT_KEY], name)
    config, catalog = app[CONFIG].current, app[CATALOG].current
    plan = await make_plan(
        body,
        request.headers.get(CATEGORY_HEADER),
        settings=settings,
        config=config,
        catalog=catalog,
        classifier=app[CLASSIFIER],
        book=ClassifierBook(exchange),
        session=session,
    )
    exchange.decided(plan.decision)
    context = Context(
        settings=settings,
        upstream=app[UPSTREAM],
        breakers=app[BREAKERS],
        catalog=catalog,
        clock=app[CLOCK],
        exchange=exchange,
        body=body,
        client=ClientStream(request, settings),
        headers=headers,
    )
    try:
        return await dispatch(context, plan.chain)
    finally:
        if plan.sticks_to is not None and exchange.answered_by is not None:
            plan.sticks_to.keep(plan.decision, exchange.answered_by)
        shadow = app[SHADOW]
        if shadow is not None and plan.prompt is not None and plan.judged is not None:
            shadow.compare(exchange.id, plan.prompt, config, plan.judged)


def _shutting_down(request: web.Request, exchange: Exchange) -> Unavailable:
    """The router itself cancelled a request that had called nobody yet: its client is still there.

    What has called somebody is ended where it is called.
    """
    if (task := asyncio.current_task()) is not None:
        task.uncancel()
    error = Unavailable("The router is shutting down.", retry_after_s=5)
    _finish(request, exchange, "failed", error.status, error.type)
    return error


def _finish(
    request: web.Request, exchange: Exchange, outcome: Outcome, status: int, error_class: str
) -> None:
    """Write the row if it is still owed, also for a body that could not be read."""
    if not exchange.is_begun:
        exchange.begin(None, False, request[CLIENT_KEY], None)
    exchange.finish(outcome, status, error_class)


async def read_body(request: web.Request) -> bytes:
    """Return the body. Raises PayloadTooLarge before reading where the length is announced."""
    settings = request.app[SETTINGS]
    if _announces_too_much(request):
        raise _too_large(request)
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the body uncompressed, without Content-Encoding.")
    try:
        if request.content.is_eof():
            return await request.read()
        await _invite(request)
        async with asyncio.timeout(settings.deadlines.body_s):
            return await request.read()
    except TimeoutError:
        message = f"The body did not arrive within {settings.deadlines.body_s:g} s."
        raise RequestTimeout(message) from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(request) from None
    except web.RequestPayloadError as exc:
        raise InvalidRequest("The body's transfer encoding is broken.") from exc
    except ConnectionError as exc:
        raise ClientGone("The client left.") from exc


async def expect_later(_: web.Request) -> None:
    """Leave `Expect: 100-continue` to `read_body`: no body is invited that would be refused."""


async def _invite(request: web.Request) -> None:
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the response itself has not begun


def _announces_too_much(request: web.Request) -> bool:
    return (request.content_length or 0) > request.client_max_size


def _too_large(request: web.Request) -> PayloadTooLarge:
    megabytes = request.client_max_size // (1024 * 1024)
    return PayloadTooLarge(f"The body is larger than {megabytes} MB ([server] max_body_mb).")


ROUTES = tuple(
    Route("POST", path, chat_completions, Scope.CLIENT)
    for path in ("/v1/chat/completions", "/chat/completions")
)
