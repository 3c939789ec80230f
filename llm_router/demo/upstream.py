"""The demo upstream: a scripted OpenRouter, with a scripted Ollama on the same port.

    async with serve(DemoUpstream(), port=0) as demo:
        demo.url, demo.ollama_url       # http://127.0.0.1:PORT/api/v1 and http://127.0.0.1:PORT
        demo.fail("z-ai/glm-5", status=503, times=2)
        demo.calls("z-ai/glm-5")        # what arrived, byte for byte

Routes, statuses and fields are those of OpenRouter's API reference.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import msgspec
from aiohttp import web

from llm_router.demo import answers, directives, refusals
from llm_router.demo.answers import Answer, Ask
from llm_router.demo.directives import Behaviour, DirectiveError
from llm_router.demo.generations import Generations
from llm_router.demo.models import DemoModel, ModelList
from llm_router.demo.ollama import DEFAULT_MODELS, Ollama
from llm_router.demo.script import Call, Script
from llm_router.demo.wire import Stream, Wire

_PREFIXES = ("/api/v1", "/v1", "")
_MAX_BODY = 256 * 2**20


class DemoUpstream(Script):
    """Everything one demo upstream knows; `serve` puts it on a port.

    `gone` ids are not listed and answer 404, `extra` ids are served beside the default ones.
    `gap_ms` paces chunks, `comments` precede each stream, `generation_polls` is how often
    GET generation answers 404 before it knows a call, `api_key` the only key accepted, if given.
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
        self.models = ModelList(gone=gone, extra=extra)
        self.generations = Generations(polls=generation_polls)
        self.url = self.ollama_url = ""
        self._ollama = Ollama(self, ollama_models)
        self._gap_ms = gap_ms
        self._comments = comments
        self._api_key = api_key

    def app(self) -> web.Application:
        """Return the application; its runner needs `handler_cancellation=True`."""
        app = web.Application(client_max_size=_MAX_BODY)
        for prefix in _PREFIXES:
            app.router.add_post(prefix + "/chat/completions", self._chat)
            app.router.add_get(prefix + "/models", self._list_models)
            app.router.add_get(prefix + "/generation", self._generation)
            app.router.add_get(prefix + "/key", self._key)
            app.router.add_get(prefix + "/credits", self._credits)
        app.add_routes(self._ollama.routes())
        app.router.add_route("*", "/{path:.*}", self._nothing)
        return app

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        call = self.record(request, await request.read())
        try:
            return await self._answer(request, call)
        except (asyncio.CancelledError, ConnectionError):
            if not call.is_over:
                call.disconnected_at = asyncio.get_running_loop().time()
            self.moved()
            raise

    async def _answer(self, request: web.Request, call: Call) -> web.StreamResponse:
        ask = answers.read(call.body)
        call.model = ask.model if ask is not None and isinstance(ask.model, str) else None
        refused = self._unauthorized(request)
        if refused is not None:
            return await Wire(request, self, call, directives.HEALTHY).plain(refused, status=401)
        if ask is None or call.model is None:
            return await self._refuse(request, call, 400, "No models provided")
        model = self.models.find(call.model)
        if model is None:
            if self.models.is_gone(call.model):
                return await self._refuse(
                    request, call, 404, f"No endpoints found for {call.model}."
                )
            return await self._refuse(request, call, 400, f"{call.model} is not a valid model ID")
        try:
            how = self._how(call.model, ask)
        except DirectiveError as exc:
            return await self._refuse(request, call, 400, f"[[demo …]]: {exc}")
        return await self._perform(request, call, ask, answers.compose(ask, model, how))

    def _how(self, model: str, ask: Ask) -> Behaviour:
        how = self.behaviour(model, ask.text, by_name_only=ask.is_classification)
        load = directives.load(ask.text)
        if load is not None and how.chunks is None and not ask.is_classification:
            how = replace(how, chunks=load[0], gap=load[1] if how.gap is None else how.gap)
        return replace(how, gap=self._gap_ms) if how.gap is None else how

    async def _perform(
        self, request: web.Request, call: Call, ask: Ask, answer: Answer
    ) -> web.StreamResponse:
        how = answer.shape
        wire = Wire(request, self, call, how)
        if how.html:
            status = how.status or 200
            page = refusals.page(status)
            return await wire.plain(page, status=status, content_type="text/html")
        if how.status is not None and not (ask.is_streaming and how.via == "event"):
            error = refusals.body(how.status, how, answer.served, answer.provider)
            if how.via != "http":
                return await wire.plain(error)
            return await wire.plain(error, status=how.status, headers=refusals.headers(how))
        call.generation_id = answer.id
        headers = {"X-Generation-Id": answer.id}
        try:
            if not ask.is_streaming or how.json:
                return await wire.plain(answers.body(answer), headers=headers)
            return await wire.stream(self._stream(answer), headers)
        finally:
            tokens = _billed_tokens(ask, answer, call)
            call.billed_usd = answer.cost_usd(tokens) if tokens else Decimal(0)
            self.generations.add(answer, call, tokens=tokens)

    def _stream(self, answer: Answer) -> Stream:
        how = answer.shape
        comments = self._comments if how.comments is None else how.comments
        preamble = [answers.COMMENT] * comments
        if how.role:
            preamble.append(answers.role_chunk(answer))
        error = how.status if how.is_streamed_error else None
        return Stream(
            content_type="text/event-stream",
            preamble=preamble,
            chunks=answers.chunks(answer),
            tail=answers.tail(answer),
            error=None if error is None else refusals.event(error, answer),
            beat=answers.COMMENT,
        )

    async def _refuse(
        self, request: web.Request, call: Call, status: int, message: str
    ) -> web.StreamResponse:
        wire = Wire(request, self, call, directives.HEALTHY)
        return await wire.plain(refusals.plain(status, message), status=status)

    def _unauthorized(self, request: web.Request) -> bytes | None:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            return refusals.plain(401, "Missing Authentication header")
        if self._api_key is not None and key != self._api_key:
            return refusals.plain(401, "User not found.")
        return None

    async def _list_models(self, request: web.Request) -> web.StreamResponse:
        body = msgspec.json.encode(self.models.listing())
        return await self._get(request, "/models", body, needs_key=False)

    async def _generation(self, request: web.Request) -> web.StreamResponse:
        found = self.generations.poll(request.query.get("id", ""))
        if found is None:
            body = refusals.plain(404, f"Generation {request.query.get('id')} not found")
            return await self._get(request, "/generation", body, status=404)
        return await self._get(request, "/generation", msgspec.json.encode({"data": found}))

    async def _key(self, request: web.Request) -> web.StreamResponse:
        return await self._get(request, "/key", msgspec.json.encode({"data": _KEY}))

    async def _credits(self, request: web.Request) -> web.StreamResponse:
        body = refusals.plain(403, "Only management keys can fetch credits")
        return await self._get(request, "/credits", body, status=403)

    async def _nothing(self, request: web.Request) -> web.StreamResponse:
        call = self.record(request, await request.read())
        return await self._refuse(request, call, 404, "The demo upstream has no such route")

    async def _get(
        self,
        request: web.Request,
        name: str,
        body: bytes,
        *,
        status: int = 200,
        needs_key: bool = True,
    ) -> web.StreamResponse:
        """Answer a GET; orders for its path (`fail("/models", status=500)`) apply."""
        call = self.record(request, b"")
        refused = self._unauthorized(request) if needs_key else None
        if refused is not None:
            return await Wire(request, self, call, directives.HEALTHY).plain(refused, status=401)
        how = self.behaviour(name, by_name_only=True)
        wire = Wire(request, self, call, how)
        if how.html:
            status = how.status or 200
            page = refusals.page(status)
            return await wire.plain(page, status=status, content_type="text/html")
        if how.text is not None:
            return await wire.plain(how.text.encode(), status=how.status or 200)
        if how.status is not None:
            error = refusals.body(how.status, how, name, "OpenRouter")
            return await wire.plain(error, status=how.status, headers=refusals.headers(how))
        return await wire.plain(body, status=status)


def _billed_tokens(ask: Ask, answer: Answer, call: Call) -> int:
    """Return the completion tokens that the provider charges for; without one it charges nothing.

    What does not stream is charged in full. A stream is charged as far as it came, or in full
    where its client left and the provider cannot be stopped; one that ended in an error is free.
    """
    whole = answer.completion_tokens
    if answer.shape.is_streamed_error and ask.is_streaming:
        return 0
    if not ask.is_streaming or answer.shape.json or call.chunks == answers.chunk_count(answer):
        return whole
    left_early = not (call.finished or call.dropped)
    return whole if left_early and answer.model.bills_cancelled else min(call.chunks, whole)


_KEY = {
    "label": "sk-or-v1-demo...demo",
    "limit": None,
    "limit_remaining": None,
    "limit_reset": None,
    "usage": 0,
    "usage_daily": 0,
    "usage_weekly": 0,
    "usage_monthly": 0,
    "byok_usage": 0,
    "include_byok_in_limit": False,
    "is_free_tier": False,
    "is_management_key": False,
    "is_provisioning_key": False,
    "expires_at": None,
    "creator_user_id": None,
    "rate_limit": {"requests": -1, "interval": "10s", "note": "deprecated"},
}


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
