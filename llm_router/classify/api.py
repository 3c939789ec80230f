"""A small model at OpenRouter, asked like any other: its calls are booked and cost money.

The answer is constrained by a strict schema (https://openrouter.ai/docs/features/structured-outputs)
and reasoning is switched off; parameters that a model does not support are dropped there silently,
so the answer is checked all the same.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from llm_router.classify.base import By, CallBook, Decision, Prompt, StepFault
from llm_router.classify.keywords import labels_of
from llm_router.classify.labels import messages_for, read_label, schema_for
from llm_router.clock import Clock
from llm_router.errors import UpstreamError
from llm_router.ledger.entry import NO_USAGE, REFUSED_COST, UNKNOWN_COST, Cost, Outcome, Usage
from llm_router.ledger.pricing import cost_of
from llm_router.routing.catalog import CatalogHolder
from llm_router.routing.config import RoutingConfig
from llm_router.routing.failures import FailureClass
from llm_router.upstream.client import UpstreamClient
from llm_router.upstream.failures import from_answer, from_error_object
from llm_router.upstream.response import UpstreamResponse
from llm_router.upstream.usage import parse_usage

_MAX_TOKENS = 32
_RESPONSE_LIMIT = 256 * 1024
_NEVER_SENT = (
    FailureClass.TRANSPORT,
    FailureClass.CONNECT_TIMEOUT,
    FailureClass.LOCAL,
    FailureClass.STALE_CONNECTION,
)


class ApiStep:
    name: By = "api"

    def __init__(
        self,
        upstream: UpstreamClient,
        catalog: CatalogHolder,
        model: str,
        clock: Clock,
        is_shut: Callable[[str], bool],
    ) -> None:
        self._upstream = upstream
        self._catalog = catalog
        self._model = model
        self._clock = clock
        self._is_shut = is_shut

    def status(self) -> str:
        return "model gone" if self._catalog.current.is_gone(self._model) else "ok"

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def decide(
        self, prompt: Prompt, config: RoutingConfig, book: CallBook, limit_s: float
    ) -> Decision:
        if self._catalog.current.is_gone(self._model):
            raise StepFault("model gone", is_failure=False)
        labels = labels_of(config)
        body = msgspec.json.encode(
            {
                "model": self._model,
                "messages": messages_for(prompt, config, labels),
                "stream": False,
                "temperature": 0,
                "max_tokens": _MAX_TOKENS,
                "reasoning": {"enabled": False},
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {
                        "name": "category",
                        "strict": True,
                        "schema": schema_for(labels),
                    },
                },
            }
        )
        if self._is_shut(self._model):
            raise StepFault("upstream is shut", is_failure=False)
        call = _Call(book, self._model)
        try:
            async with asyncio.timeout(limit_s):
                answer = await self._exchange(call, body)
        except TimeoutError:
            call.finish("abandoned", UNKNOWN_COST, error_class=FailureClass.TOTAL_TIMEOUT.value)
            raise StepFault("timeout") from None
        finally:
            call.close()
        label = read_label(_content(answer), labels)
        if label is None:
            raise StepFault("wrong label")
        return Decision(label, "api", rule=f"{self._model} says so")

    async def _exchange(self, call: "_Call", body: bytes) -> dict[str, Any]:
        """Return a whole answer, booked; what else comes back is booked and raised as StepFault."""
        try:
            response = call.response = await self._upstream.chat(body)
            raw = await response.body(_RESPONSE_LIMIT)
        except UpstreamError as exc:
            was_sent = exc.kind not in _NEVER_SENT
            cost = UNKNOWN_COST if was_sent else REFUSED_COST
            call.finish("failed", cost, error_class=exc.kind.value)
            raise StepFault("broken answer" if was_sent else "unreachable") from exc
        if response.status != 200:
            failure = from_answer(response.status, response.headers, raw, now=self._clock.wall())
            call.finish("failed", REFUSED_COST, error_class=failure.kind.value)
            raise StepFault(f"HTTP {response.status}")
        answer = _decode(raw)
        usage, said = parse_usage(answer.get("usage"))
        kind = _fault_in(answer)
        if kind is not None:
            call.finish(
                "failed",
                UNKNOWN_COST if said is None else said,
                usage,
                answer,
                error_class=kind.value,
            )
            raise StepFault("not an answer")
        call.finish(
            "completed", self._priced(usage, answer) if said is None else said, usage, answer
        )
        return answer

    def _priced(self, usage: Usage, answer: dict[str, Any]) -> Cost:
        catalog = self._catalog.current
        pricing = catalog.pricing(_word(answer, "model") or "") or catalog.pricing(self._model)
        return cost_of(usage, pricing, now=self._clock.wall())


class _Call:
    """One booked call: finished exactly once, as abandoned if nothing else was said before.

    What an abandoned one costs is unknown until it is asked for by its generation id.
    """

    def __init__(self, book: CallBook, model: str) -> None:
        self._book = book
        self._id = book.attempt_started(model)
        self._is_finished = False
        self.response: UpstreamResponse | None = None

    def finish(
        self,
        outcome: Outcome,
        cost: Cost,
        usage: Usage = NO_USAGE,
        answer: dict[str, Any] | None = None,
        *,
        error_class: str | None = None,
    ) -> None:
        self._is_finished = True
        answer = answer or {}
        header = self.response.generation_id if self.response is not None else None
        self._book.attempt_finished(
            self._id,
            outcome=outcome,
            http_status=self.response.status if self.response is not None else None,
            error_class=error_class,
            served_model=_word(answer, "model"),
            provider=_word(answer, "provider"),
            generation_id=_word(answer, "id") or header,
            usage=usage,
            cost=cost,
        )

    def close(self) -> None:
        """Drop the connection if the answer was not read, and book what is still owed."""
        if self.response is not None:
            self.response.close()
        if not self._is_finished:
            self.finish("abandoned", UNKNOWN_COST, error_class=FailureClass.CLIENT_GONE.value)


def _decode(raw: bytes) -> dict[str, Any]:
    try:
        answer = msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _fault_in(answer: dict[str, Any]) -> FailureClass | None:
    """OpenRouter answers 200 with an error inside once work has begun."""
    if error := answer.get("error"):
        return from_error_object(error, status=200).kind
    return None if answer.get("choices") else FailureClass.PROTOCOL


def _content(answer: dict[str, Any]) -> object:
    choices = answer["choices"]
    choice = choices[0] if isinstance(choices, list) else None
    message = choice.get("message") if isinstance(choice, dict) else None
    return message.get("content") if isinstance(message, dict) else None


def _word(answer: dict[str, Any], key: str) -> str | None:
    value = answer.get(key)
    return value[:128] if isinstance(value, str) and value.isprintable() else None
