"""Answers of our own: JSON, and errors in the one shape."""

from collections.abc import Mapping
from math import ceil

import msgspec
from aiohttp import web

from llm_router.errors import HttpError

# On every response: no version banner, no sniffing.
PLAIN_HEADERS = {"Server": "llm-router", "X-Content-Type-Options": "nosniff"}
JSON = {"Content-Type": "application/json"}
_JSON_TEXT = {"Content-Type": "application/json; charset=utf-8"}
CLOSING = (400, 408, 413)  # the rest of such a body is not worth reading
# OpenAI's SDKs wait as long as Retry-After says: the older ones for up to a minute, and beyond that
# they come back within seconds, in vain, or hold their caller up for all of it.
# https://github.com/openai/openai-python/blob/main/src/openai/_base_client.py
PATIENCE_S = 60


def json_answer(
    data: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.Response(
        body=_encoded(data),
        status=status,
        headers=headers,
        content_type="application/json",
        charset="utf-8",
    )


def whole_answer(status: int, headers: Mapping[str, str], body: bytes) -> web.Response:
    """Return a JSON document that is encoded already."""
    response = web.Response(body=body, status=status, headers={**JSON, **headers})
    if status in CLOSING:
        response.force_close()
    return response


def error_answer(error: HttpError, headers: Mapping[str, str]) -> web.Response:
    return whole_answer(error.status, *error_parts(error, headers))


def error_parts(error: HttpError, headers: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
    """Return headers, with what tells a client whether and when to come back, and the body."""
    sent = {**_JSON_TEXT, **headers, **error.headers}
    wait_s = error.retry_after_s
    if wait_s is not None:
        sent["Retry-After"] = str(max(1, ceil(wait_s)))
    if error.is_final or (wait_s is not None and wait_s > PATIENCE_S):
        sent["x-should-retry"] = "false"
    if error.status == 401:
        sent["WWW-Authenticate"] = 'Bearer realm="llm-router"'
    return sent, _encoded(error.body())


def _encoded(data: object) -> bytes:
    return msgspec.json.encode(data) + b"\n"  # so that a terminal's prompt is on its own line
