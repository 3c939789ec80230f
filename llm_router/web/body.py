"""A request's body, read from aiohttp's server: within its size and its time."""

import asyncio

from aiohttp import hdrs, web

from llm_router.errors import (
    ClientGone,
    InvalidRequest,
    PayloadTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)
from llm_router.keys import SETTINGS


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
