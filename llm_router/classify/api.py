"""A small model at OpenRouter, asked like any other: its calls are booked and cost money.

The answer is constrained by a strict schema (https://openrouter.ai/docs/features/structured-outputs)
where the model list says that the model obeys one, and reasoning is switched off. Parameters that a
model does not support are dropped there silently, so the answer is checked all the same.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from llm_router.classify.api_call import ApiCall
from llm_router.classify.base import By, CallBook, Decision, Prompt, StepFault
from llm_router.classify.labels import labels_of, messages_for, read_label, schema_for
from llm_router.classify.logprobs import ALTERNATIVES, confidence_in
from llm_router.clock import Clock
from llm_router.routing.catalog import CatalogHolder
from llm_router.routing.config import ConfigHolder, RoutingConfig
from llm_router.tasks import spawn
from llm_router.upstream.client import UpstreamClient

_MAX_TOKENS = 32
# Calls under way, those included that nobody waits for any more; beyond it a late one is cut off.
_MAX_CALLS = 32


class ApiStep:
    name: By = "api"

    def __init__(
        self,
        upstream: UpstreamClient,
        catalog: CatalogHolder,
        config: ConfigHolder,
        model: str,
        clock: Clock,
        is_shut: Callable[[str], bool],
    ) -> None:
        """`model` is an id or an alias of `config`."""
        self._upstream = upstream
        self._catalog = catalog
        self._config = config
        self._model = model
        self._clock = clock
        self._is_shut = is_shut
        self._calls: set[asyncio.Task[dict[str, Any] | StepFault]] = set()

    def status(self) -> str:
        model = self._config.current.model_id(self._model)
        return "model gone" if self._catalog.current.is_gone(model) else "ok"

    async def start(self) -> None: ...

    async def close(self) -> None:
        """Give up the calls under way; they are booked as such."""
        for task in self._calls:
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def decide(
        self, prompt: Prompt, config: RoutingConfig, book: CallBook, limit_s: float
    ) -> Decision:
        model = config.model_id(self._model)
        if self._catalog.current.is_gone(model):
            raise StepFault("model gone", is_failure=False)
        if self._is_shut(model):
            raise StepFault("upstream is shut", is_failure=False)
        labels = labels_of(config)
        question = {
            "model": model,
            "messages": messages_for(prompt, config, labels),
            "stream": False,
            "temperature": 0,
            "max_tokens": _MAX_TOKENS,
            **_options(self._supported(model), schema_for(labels)),
        }
        answer = await self._ask(msgspec.json.encode(question), model, book, limit_s)
        choice = _choice(answer)
        label = read_label(_mapping(choice.get("message")).get("content"), labels)
        if label is None:
            raise StepFault("wrong label")
        tokens = _mapping(choice.get("logprobs")).get("content")
        confidence, others = confidence_in(tokens, label, labels) or (None, ())
        return Decision(label, "api", confidence, f"{model} says so", others)

    async def _ask(
        self, question: bytes, model: str, book: CallBook, limit_s: float
    ) -> dict[str, Any]:
        """Call; once more at once if a pooled connection had died. Raises StepFault."""
        ends = asyncio.get_running_loop().time() + limit_s
        call = self._call(book, model)
        answer = await self._answer(call, question, ends)
        if call.was_stale:
            call = self._call(book, model, on_new_connection=True)
            answer = await self._answer(call, question, ends)
        if isinstance(answer, StepFault):
            raise answer
        return answer

    def _call(self, book: CallBook, model: str, *, on_new_connection: bool = False) -> ApiCall:
        return ApiCall(
            self._upstream,
            self._catalog,
            self._clock,
            book,
            model,
            on_new_connection=on_new_connection,
        )

    async def _answer(
        self, call: ApiCall, question: bytes, ends: float
    ) -> dict[str, Any] | StepFault:
        """Wait for a call until `ends` on the loop's clock. Raises StepFault when it is late."""
        task = spawn(call.run(question), name="classifier-call")
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        try:
            await asyncio.wait([task], timeout=ends - asyncio.get_running_loop().time())
        finally:
            # Also when the client has left meanwhile.
            if not task.done():
                call.is_late = True
                if len(self._calls) > _MAX_CALLS:
                    task.cancel()
        if not task.done() or task.cancelled():
            raise StepFault("timeout")
        return task.result()

    def _supported(self, model: str) -> frozenset[str]:
        """Return the parameters that the model list names, none where it says nothing."""
        info = self._catalog.current.get(model)
        return frozenset() if info is None else info.supported_parameters


def _options(supported: frozenset[str], schema: dict[str, Any]) -> dict[str, Any]:
    """Return what makes the answer short and certain, as far as the model takes it.

    Of a model that says nothing the schema and no reasoning are asked for all the same.
    """
    options: dict[str, Any] = {}
    if not supported or "structured_outputs" in supported:
        wanted = {"name": "category", "strict": True, "schema": schema}
        options["response_format"] = {"type": "json_schema", "json_schema": wanted}
    elif "response_format" in supported:
        options["response_format"] = {"type": "json_object"}
    if not supported or "reasoning" in supported:
        options["reasoning"] = {"enabled": False}
    if "logprobs" in supported:
        options["logprobs"] = True
        if "top_logprobs" in supported:
            options["top_logprobs"] = ALTERNATIVES
    return options


def _choice(answer: dict[str, Any]) -> Mapping[str, Any]:
    choices = answer["choices"]
    return _mapping(choices[0]) if isinstance(choices, list) else {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
