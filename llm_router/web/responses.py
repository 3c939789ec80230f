"""Answers of our own: JSON, and errors in the one shape."""

from collections.abc import Mapping
from math import ceil

import msgspec
from aiohttp import web

from llm_router.errors import HttpError

# On every response: no version banner, no sniffing.
PLAIN_HEADERS = {"Server": "llm-router", "X-Content-Type-Options": "nosniff"}
_CLOSING = (400, 413)  # the rest of such a body is not worth reading


def json_answer(
    data: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    body = msgspec.json.encode(data) + b"\n"  # so that a terminal's prompt is on its own line
    return web.Response(
        body=body, status=status, headers=headers, content_type="application/json", charset="utf-8"
    )


def error_answer(error: HttpError, headers: Mapping[str, str]) -> web.Response:
    """Render an error with what tells a client whether and when to come back."""
    sent = {**headers, **error.headers}
    if error.retry_after_s is not None:
        sent["Retry-After"] = str(max(1, ceil(error.retry_after_s)))
    if error.is_final:
        sent["x-should-retry"] = "false"
    if error.status == 401:
        sent["WWW-Authenticate"] = 'Bearer realm="llm-router"'
    response = json_answer(error.body(), status=error.status, headers=sent)
    if error.status in _CLOSING:
        response.force_close()
    return response
