"""A scripted Ollama: /api/chat and the small endpoints around it, in the shapes of its API docs.

It classifies by a few keywords (`content.categorise`), so that a router has something to ask.
Orders for it name its model: `demo.fail("qwen2.5:0.5b", status=503)`; a `*` leaves it alone.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from aiohttp import web

from llm_router.demo import content
from llm_router.demo.ask import last_user_text
from llm_router.demo.behaviour import HEALTHY, Behaviour
from llm_router.demo.directives import DirectiveError
from llm_router.demo.logprobs import logprobs
from llm_router.demo.script import Call, Script
from llm_router.demo.wire import Stream, Wire

DEFAULT_MODELS = ("qwen2.5:0.5b", "llama3.2:latest")
VERSION = "0.32.15"

_WHEN = "2026-08-21T10:00:00.123456Z"
_MS = 1_000_000
_BUSY = "server busy, please try again.  maximum pending requests exceeded"


class _Trouble(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Ollama:
    def __init__(self, script: Script, models: Sequence[str]) -> None:
        self._script = script
        self._models = models
        self._loaded: set[str] = set()

    def routes(self) -> Iterable[web.RouteDef]:
        return (
            web.get("/", self._running),
            web.get("/api/version", self._version),
            web.get("/api/tags", self._tags),
            web.get("/api/ps", self._ps),
            web.post("/api/chat", self._chat),
        )

    async def _running(self, request: web.Request) -> web.StreamResponse:
        self._script.record(request, b"")
        return web.Response(text="Ollama is running")

    async def _version(self, request: web.Request) -> web.StreamResponse:
        return await self._get(request, {"version": VERSION})

    async def _tags(self, request: web.Request) -> web.StreamResponse:
        return await self._get(request, {"models": [_entry(name) for name in self._models]})

    async def _ps(self, request: web.Request) -> web.StreamResponse:
        facts = {"expires_at": _WHEN, "size_vram": 0, "context_length": 4096}
        loaded = [_entry(name) | facts for name in sorted(self._loaded)]
        return await self._get(request, {"models": loaded})

    async def _get(self, request: web.Request, facts: Any) -> web.StreamResponse:
        call = self._script.record(request, b"")
        with self._script.watching(call):
            how = self._script.behaviour(request.path, by_name_only=True)
            wire = Wire(request, self._script, call, how)
            if how.status is not None:
                return await wire.plain(_error("unavailable"), status=how.status)
            return await wire.plain(_encode(facts))

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        call = self._script.record(request, await request.read())
        with self._script.watching(call):
            try:
                raw = self._read(call)
            except _Trouble as exc:
                wire = Wire(request, self._script, call, HEALTHY)
                return await wire.plain(_error(str(exc)), status=exc.status)
            how = self._how(call, raw)
            wire = Wire(request, self._script, call, how)
            if how.html:
                return await wire.page()
            if how.status is not None:
                words = how.message or _words(how.status, str(call.model))
                return await wire.plain(_error(words), status=how.status)
            return await self._perform(wire, str(call.model), raw, how)

    def _how(self, call: Call, raw: dict[str, Any]) -> Behaviour:
        text = last_user_text(raw.get("messages"))
        try:
            return self._script.behaviour(str(call.model), text, by_name_only=True)
        except DirectiveError:
            # The chat endpoint refuses it, where people see why.
            return HEALTHY

    def _read(self, call: Call) -> dict[str, Any]:
        """Return the request; raise what Ollama would say against it."""
        if not call.body:
            raise _Trouble(400, "missing request body")
        try:
            raw = json.loads(call.body)
        except ValueError as exc:
            raise _Trouble(400, str(exc)) from exc
        name = raw.get("model") if isinstance(raw, dict) else None
        if not isinstance(name, str) or not name:
            raise _Trouble(400, "model is required")
        call.model = name if ":" in name else name + ":latest"
        if call.model not in self._models:
            raise _Trouble(404, f"model '{name}' not found")
        if raw.get("think") is True:
            raise _Trouble(400, f'"{name}" does not support thinking')
        if raw.get("keep_alive") == "-1":
            raise _Trouble(400, 'time: missing unit in duration "-1"')
        wanted = raw.get("format")
        if wanted not in (None, "", "json") and not isinstance(wanted, dict):
            expected = 'expected "json" or a valid JSON Schema object'
            raise _Trouble(400, f"invalid format: {json.dumps(wanted)}; {expected}")
        assert isinstance(raw, dict)
        return raw

    async def _perform(
        self, wire: Wire, model: str, raw: dict[str, Any], how: Behaviour
    ) -> web.StreamResponse:
        is_streaming = raw.get("stream") is not False
        if not raw.get("messages"):
            reason = "unload" if raw.get("keep_alive") == 0 else "load"
            (self._loaded.discard if reason == "unload" else self._loaded.add)(model)
            return await wire.plain(_encode(_line(model, "", done_reason=reason)))
        self._loaded.add(model)
        said = _say(model, raw, how)
        metrics: dict[str, Any] = {
            "total_duration": 12 * _MS,
            "load_duration": 1 * _MS,
            "prompt_eval_count": len(str(raw["messages"])) // 4,
            "prompt_eval_duration": 8 * _MS,
            "eval_count": len(said),
            "eval_duration": 3 * _MS,
        }
        reason = how.finish or "stop"
        if not is_streaming:
            if raw.get("logprobs"):
                metrics["logprobs"] = _logprobs(said, raw)
            whole = _line(model, "".join(said), done_reason=reason, **metrics)
            return await wire.plain(_encode(whole), content_type="application/json; charset=utf-8")
        stream = Stream(
            content_type="application/x-ndjson",
            preamble=(),
            chunks=[_encode(_line(model, piece)) + b"\n" for piece in said],
            tail=[_encode(_line(model, "", done_reason=reason, **metrics)) + b"\n"],
        )
        return await wire.stream(stream, {})


def _say(model: str, raw: dict[str, Any], how: Behaviour) -> tuple[str, ...]:
    if how.empty:
        return ()
    if how.text is not None:
        return content.pieces(how.text)
    text = last_user_text(raw["messages"])
    wanted = raw.get("format")
    if isinstance(wanted, dict):
        return content.pieces(json.dumps(content.fill(wanted, text)))
    if wanted == "json":
        return content.pieces(json.dumps({"demo": True}))
    return content.pieces(content.reply(model, text))


def _logprobs(said: Sequence[str], raw: dict[str, Any]) -> list[dict[str, Any]]:
    labels = content.enum_of(raw.get("format")) or ()
    top = raw.get("top_logprobs")
    text = last_user_text(raw["messages"])
    return logprobs(said, labels, text, top if isinstance(top, int) else 0)


def _line(model: str, text: str, *, done_reason: str | None = None, **facts: Any) -> dict[str, Any]:
    line: dict[str, Any] = {
        "model": model,
        "created_at": _WHEN,
        "message": {"role": "assistant", "content": text},
        "done": done_reason is not None,
    }
    if done_reason is not None:
        line["done_reason"] = done_reason
    return line | facts


def _entry(name: str) -> dict[str, Any]:
    family = name.partition(":")[0].rstrip("0123456789.")
    return {
        "name": name,
        "model": name,
        "modified_at": _WHEN,
        "size": 397_821_319,
        "digest": "demo",
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": family,
            "families": [family],
            "parameter_size": "494.03M",
            "quantization_level": "Q4_K_M",
        },
    }


def _words(status: int, model: str) -> str:
    return {404: f"model '{model}' not found", 503: _BUSY, 499: "request canceled"}.get(
        status, "llama runner process has terminated: out of memory"
    )


def _encode(facts: Any) -> bytes:
    return json.dumps(facts, separators=(",", ":")).encode()


def _error(message: str) -> bytes:
    return _encode({"error": message})
