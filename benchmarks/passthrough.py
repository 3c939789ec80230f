"""The floor of this stack: a proxy of aiohttp's server and client that decides and books nothing.

    python -m benchmarks.passthrough UPSTREAM_URL

It does the least that a proxy written with aiohttp can do: read the body, post it, hand on what
comes.
"""

import asyncio
import sys
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from llm_router.loop import run

SESSION = web.AppKey("session", aiohttp.ClientSession)
UPSTREAM = web.AppKey("upstream", str)
_HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer benchmark"}
_BACKLOG = 4096


async def hand_on(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    app = request.app
    async with app[SESSION].post(app[UPSTREAM], data=body, headers=_HEADERS) as answer:
        kind = answer.headers.get("Content-Type", "")
        if not kind.startswith("text/event-stream"):
            whole = await answer.read()
            return web.Response(status=answer.status, body=whole, content_type="application/json")
        response = web.StreamResponse(status=answer.status, headers={"Content-Type": kind})
        await response.prepare(request)
        async for block in answer.content.iter_any():
            await response.write(block)
        await response.write_eof()
        return response


async def _session(app: web.Application) -> AsyncIterator[None]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        app[SESSION] = session
        yield


async def serve(upstream: str) -> None:
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app[UPSTREAM] = upstream
    app.cleanup_ctx.append(_session)
    app.router.add_post("/v1/chat/completions", hand_on)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=_BACKLOG).start()
    host, port = runner.addresses[0]
    sys.stdout.write(f"pass-through at http://{host}:{port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    run(serve(sys.argv[1]))
