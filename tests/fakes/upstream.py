"""The tests' upstream: the demo upstream on a real socket.

    async with running_upstream(gone=["openrouter/aurora-alpha"]) as demo:
        demo.fail("z-ai/glm-5", status=503, times=2)         # any field of behaviour.Behaviour
        demo.fail("glm-5", drop=5)                           # RST after five chunks
        demo.fail(status=502, via="event", code="server_error")   # first event is an error
        release = demo.hold("gpt-4o-mini", at=3)             # waits after three chunks
        ... OPENROUTER_BASE_URL=demo.url, OLLAMA_BASE_URL=demo.ollama_url ...
        await demo.until(lambda: any(c.chunks == 3 for c in demo.calls("gpt-4o-mini")))
        demo.calls("glm-5")[0].json()["stream"]              # .body, .headers, .disconnected_at, …

Options are those of `DemoUpstream`. `extra=["a/one"]` adds models that have made-up prices.
`demo.everything` holds what `demo.clear()` forgets.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from llm_router.demo.script import Call
from llm_router.demo.upstream import DemoUpstream, serve


class Upstream(DemoUpstream):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.everything: list[Call] = []

    def record(self, request: web.Request, body: bytes) -> Call:
        call = super().record(request, body)
        self.everything.append(call)
        return call


@asynccontextmanager
async def running_upstream(**options: Any) -> AsyncIterator[Upstream]:
    """Serve a demo upstream on 127.0.0.1, any port, through a real AppRunner."""
    demo = Upstream(**options)
    async with serve(demo):
        yield demo
