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
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from llm_router.demo.upstream import DemoUpstream, serve


@asynccontextmanager
async def running_upstream(**options: Any) -> AsyncIterator[DemoUpstream]:
    """Serve a demo upstream on 127.0.0.1, any port, through a real AppRunner."""
    async with serve(DemoUpstream(**options)) as demo:
        yield demo
