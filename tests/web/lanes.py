"""Lanes that serve what a test wants, and a client on the other side."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from llm_router.settings import DeadlineSettings
from llm_router.web.lane import Lane, Service
from tests.fakes.server import Server, serving
from tests.fakes.waiting import until
from tests.integration import client
from tests.integration.client import Caller

BODY_BYTES = 64 * 1024  # as much as `serving` lets aiohttp take
CHAT = "/chat/completions"
Answer = Callable[[Lane], Awaitable[None]]


def post(body: bytes = b"{}", *fields: str, path: str = CHAT, version: str = "1.1") -> bytes:
    """Return a chat request; what is left out of it is ordinary."""
    given_names = {field.partition(":")[0].lower() for field in fields}
    usual = ("Host: localhost", f"Content-Length: {len(body)}")
    lines = [f"POST {path} HTTP/{version}", *fields]
    lines += [field for field in usual if field.partition(":")[0].lower() not in given_names]
    return "\r\n".join([*lines, "", ""]).encode() + body


GET = b"GET /else HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def echo(lane: Lane) -> None:
    """The lanes' answer: what came, and over which way."""
    await lane.whole(200, {"x-way": "lane"}, await lane.body())


async def on_aiohttp(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    return web.Response(body=body, headers={"x-way": "aiohttp"}, content_type="application/json")


@asynccontextmanager
async def serving_lanes(
    answer: Answer = echo,
    deadlines: DeadlineSettings | None = None,
    *,
    body_s: float = 10,
    body_bytes: int = BODY_BYTES,
    kernel_bytes: int | None = None,
) -> AsyncIterator[Server]:
    chat = Service(answer, body_s, body_bytes)
    async with serving(on_aiohttp, deadlines, chat=chat, kernel_bytes=kernel_bytes) as server:
        yield server


@asynccontextmanager
async def calling(server: Server) -> AsyncIterator[Caller]:
    async with client.calling(f"http://127.0.0.1:{server.port}") as caller:
        yield caller


def lanes(server: Server) -> list[Lane]:
    return [each for each in server.runner.clients() if isinstance(each, Lane)]


async def the_lane(server: Server) -> Lane:
    await until(lambda: lanes(server))
    return lanes(server)[0]


async def delivered() -> None:
    """Give the server the time to read what a client in the same process has written."""
    for _ in range(12):
        await asyncio.sleep(0)


async def reply(caller: Caller) -> tuple[str, bytes]:
    """Return over which way an answer came, and its body."""
    answer = await caller.reply()
    assert answer.status == 200
    assert answer.is_whole
    return answer.headers["x-way"], answer.body


def lasting(answer: bytes) -> bytes:
    """Return an answer without what differs from one to the next."""
    return re.sub(rb"req_[0-9a-f]+|gen-[\w-]+|(?<=Date: )[^\r]+", b"-", answer)
