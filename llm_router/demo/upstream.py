"""The demo upstream: a scripted OpenRouter, with a scripted Ollama on the same port.

    async with serve(DemoUpstream(), port=0) as demo:
        demo.url, demo.ollama_url       # http://127.0.0.1:PORT/api/v1 and http://127.0.0.1:PORT
        demo.fail("z-ai/glm-5", status=503, times=2)
        demo.calls("z-ai/glm-5")        # what arrived, byte for byte

Routes, statuses and fields are those of OpenRouter's API reference.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from llm_router.demo.chat import Chat
from llm_router.demo.generations import Generations
from llm_router.demo.lookups import Lookups
from llm_router.demo.models import DemoModel, ModelList
from llm_router.demo.ollama import DEFAULT_MODELS, Ollama
from llm_router.demo.script import Script

_PREFIXES = ("/api/v1", "/v1", "")
_MAX_BODY = 256 * 2**20


class DemoUpstream(Script):
    """Everything one demo upstream knows; `serve` puts it on a port.

    `gone` ids are not listed and answer 404, `extra` ids are served beside the default ones
    (`models.retire` and `models.add` do so later on). `gap_ms` paces chunks, `comments` precede
    each stream, `generation_polls` is how often GET generation answers 404 before it knows a call,
    `api_key` the only key accepted, if given, `keep` how many calls are remembered.
    """

    def __init__(
        self,
        *,
        gone: Iterable[str] = (),
        extra: Iterable[DemoModel | str] = (),
        ollama_models: Sequence[str] = DEFAULT_MODELS,
        gap_ms: int = 0,
        comments: int = 2,
        generation_polls: int = 1,
        api_key: str | None = None,
        keep: int = 10_000,
    ) -> None:
        super().__init__(keep=keep)
        self.url = self.ollama_url = ""
        self.models = ModelList(gone=gone, extra=extra)
        self.generations = Generations(polls=generation_polls, keep=keep)
        self._chat = Chat(self, self.models, self.generations, api_key, gap_ms, comments)
        self._lookups = Lookups(self, self.models, self.generations, api_key)
        self._ollama = Ollama(self, ollama_models)

    def app(self) -> web.Application:
        """Return the application; its runner needs `handler_cancellation=True`."""
        app = web.Application(client_max_size=_MAX_BODY)
        for prefix in _PREFIXES:
            app.router.add_post(prefix + "/chat/completions", self._chat.handle)
            app.router.add_get(prefix + "/models", self._lookups.list_models)
            app.router.add_get(prefix + "/generation", self._lookups.generation)
            app.router.add_get(prefix + "/key", self._lookups.key)
            app.router.add_get(prefix + "/credits", self._lookups.credits)
        app.add_routes(self._ollama.routes())
        app.router.add_route("*", "/{path:.*}", self._lookups.nothing)
        return app


@asynccontextmanager
async def serve(
    demo: DemoUpstream, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[DemoUpstream]:
    """Serve on a port (0: any free one); answers still held at the end are cut off."""
    runner = web.AppRunner(
        demo.app(), handler_cancellation=True, shutdown_timeout=0.01, access_log=None
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=4096).start()
        address = runner.addresses[0]
        name = f"[{address[0]}]" if ":" in address[0] else address[0]
        demo.ollama_url = f"http://{name}:{address[1]}"
        demo.url = demo.ollama_url + "/api/v1"
        yield demo
    finally:
        await runner.cleanup()
