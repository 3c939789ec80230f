"""What every request passes: its id, the access check, and the one error shape."""

import asyncio
import logging

from aiohttp import hdrs, web

from llm_router.errors import (
    ClientGone,
    Forbidden,
    HttpError,
    Internal,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    StorageError,
    Unavailable,
)
from llm_router.keys import ACCESS, CLIENT_KEY, EXCHANGE, LIFECYCLE, REQUEST_ID, SCOPES
from llm_router.logs import request_id as logged_request_id
from llm_router.proxy.relay import ResponseCut
from llm_router.proxy.request_id import new_request_id
from llm_router.web.access import check_target
from llm_router.web.responses import PLAIN_HEADERS, error_answer
from llm_router.web.routes import Handler

log = logging.getLogger(__name__)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id and turn whatever is raised into an answer in the one shape."""
    request_id = request[REQUEST_ID] = new_request_id()
    logged_request_id.set(request_id)
    try:
        return await handler(request)
    except asyncio.CancelledError:
        raise
    except ClientGone as exc:
        raise ResponseCut("The client left.") from exc
    except ResponseCut:
        raise
    except web.HTTPException as exc:
        error = _translate(exc, request.method)
    except Exception as exc:
        what = f"{request.method} {request.match_info.route.resource}"
        error = as_http_error(exc, what, request_id)
    if request.writer.output_size > 0:
        raise ResponseCut("The answer has begun; it can only be cut.")
    return error_answer(error, _headers(request))


@web.middleware
async def access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let through who may use the route; a route without a declared scope is nobody's."""
    check_target(request.headers.getall("Host", ()), request.raw_path)
    scope = request.app[SCOPES].get(request.match_info.route)
    if scope is not None:
        request[CLIENT_KEY] = request.app[ACCESS].check(request, scope)
    elif request.match_info.http_exception is None:  # unlike what answers 404 and 405
        raise Forbidden("This route does not say who may use it.")
    return await handler(request)


def as_http_error(exc: Exception, what: str, request_id: str) -> HttpError:
    """Return what a client is told of anything that was raised while `what` was done."""
    if isinstance(exc, HttpError):
        return exc
    if isinstance(exc, StorageError):
        return Unavailable(f"The database cannot do this now: {exc}", retry_after_s=5)
    log.error("%s failed", what, exc_info=exc)
    return Internal(f"Something broke inside the router; its log has {request_id}.")


async def plain_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(PLAIN_HEADERS)
    if request.app[LIFECYCLE].is_draining:
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"  # the client's next request goes elsewhere


def _headers(request: web.Request) -> dict[str, str]:
    exchange = request.get(EXCHANGE)
    if exchange is not None:
        return dict(exchange.headers())
    return {"x-router-request-id": request[REQUEST_ID]}


def _translate(exc: web.HTTPException, method: str) -> HttpError:
    if isinstance(exc, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(exc.allowed_methods))
        message = f"{method} is not for this path; it takes {allowed}."
        return MethodNotAllowed(message, headers={"Allow": allowed})
    if isinstance(exc, web.HTTPRequestEntityTooLarge):
        return PayloadTooLarge("The body is larger than [server] max_body_mb allows.")
    if isinstance(exc, web.HTTPNotFound):
        return NotFound(
            "There is nothing here. This router serves POST /v1/chat/completions, GET /v1/models, "
            "/health, /metrics, /config, /circuit-breaker, /requests and POST /route/explain."
        )
    error = InvalidRequest(exc.reason)
    error.status = exc.status
    return error
