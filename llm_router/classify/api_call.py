"""One call to the classifying model at OpenRouter: sent, read, and booked in any case.

A whole answer is not cheaper for having been cut off: OpenRouter bills a call without a stream in
full (https://openrouter.ai/docs/api-reference/streaming), and its generation id comes no earlier
than its first bytes. So a call that is too late for its decision goes on for a while, only to learn
what it cost.
"""

import asyncio
from typing import Any

import msgspec

from llm_router.classify.base import CallBook, FinishedCall, StepFault
from llm_router.clock import Clock
from llm_router.errors import UpstreamError
from llm_router.ledger.cost import NO_USAGE, REFUSED_COST, UNKNOWN_COST, Cost, Usage
from llm_router.ledger.entry import Outcome
from llm_router.ledger.pricing import cost_of
from llm_router.routing.catalog import CatalogHolder
from llm_router.routing.failures import FailureClass
from llm_router.upstream.client import UpstreamClient
from llm_router.upstream.failures import from_answer, from_error_object
from llm_router.upstream.response import UpstreamResponse
from llm_router.upstream.usage import parse_usage

LATEST_S = 30.0

_RESPONSE_LIMIT = 256 * 1024
_NEVER_SENT = (
    FailureClass.TRANSPORT,
    FailureClass.CONNECT_TIMEOUT,
    FailureClass.LOCAL,
    FailureClass.STALE_CONNECTION,
)


class ApiCall:
    """Booked when it is made, finished exactly once: as abandoned if it was given up."""

    def __init__(
        self,
        upstream: UpstreamClient,
        catalog: CatalogHolder,
        clock: Clock,
        book: CallBook,
        model: str,
        *,
        on_new_connection: bool = False,
    ) -> None:
        self._upstream = upstream
        self._catalog = catalog
        self._clock = clock
        self._book = book
        self._model = model
        self._on_new_connection = on_new_connection
        self._id = book.attempt_started(model)
        self._is_finished = False
        self._response: UpstreamResponse | None = None
        self.is_late = False  # nobody waits for the answer any more
        self.was_stale = False  # the pooled connection had died: another one may do

    async def run(self, body: bytes) -> dict[str, Any] | StepFault:
        """Return the answer, or why there is none; a task of its own."""
        try:
            async with asyncio.timeout(LATEST_S):
                return await self._exchange(body)
        except TimeoutError:
            return StepFault("timeout")
        except StepFault as fault:
            return fault
        finally:
            if self._response is not None:
                self._response.close()
            if not self._is_finished:
                error_class = FailureClass.TOTAL_TIMEOUT.value
                self._finish("abandoned", UNKNOWN_COST, error_class=error_class)

    async def _exchange(self, body: bytes) -> dict[str, Any]:
        try:
            response = self._response = await self._upstream.chat(
                body, on_new_connection=self._on_new_connection
            )
            raw = await response.body(_RESPONSE_LIMIT)
        except UpstreamError as exc:
            self.was_stale = exc.kind is FailureClass.STALE_CONNECTION
            was_sent = exc.kind not in _NEVER_SENT
            cost = UNKNOWN_COST if was_sent else REFUSED_COST
            self._finish("failed", cost, error_class=exc.kind.value)
            raise StepFault("broken answer" if was_sent else "unreachable") from exc
        if response.status != 200:
            failure = from_answer(response.status, response.headers, raw, now=self._clock.wall())
            self._finish("failed", REFUSED_COST, error_class=failure.kind.value)
            raise StepFault(f"HTTP {response.status}")
        answer = _decode(raw)
        usage, said = parse_usage(answer.get("usage"))
        if (kind := _fault_in(answer)) is not None:
            cost = UNKNOWN_COST if said is None else said
            self._finish("failed", cost, usage, answer, error_class=kind.value)
            raise StepFault("not an answer")
        self._finish(
            "completed", self._priced(usage, answer) if said is None else said, usage, answer
        )
        return answer

    def _finish(
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
        header = self._response.generation_id if self._response is not None else None
        call = FinishedCall(
            outcome,
            cost,
            http_status=self._response.status if self._response is not None else None,
            error_class=error_class,
            usage=usage,
            served_model=_word(answer, "model"),
            provider=_word(answer, "provider"),
            generation_id=_word(answer, "id") or header,
            note="too late" if self.is_late else None,
        )
        self._book.attempt_finished(self._id, call)

    def _priced(self, usage: Usage, answer: dict[str, Any]) -> Cost:
        catalog = self._catalog.current
        pricing = catalog.pricing(_word(answer, "model") or "") or catalog.pricing(self._model)
        return cost_of(usage, pricing, now=self._clock.wall())


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


def _word(answer: dict[str, Any], key: str) -> str | None:
    value = answer.get(key)
    return value[:128] if isinstance(value, str) and value.isprintable() else None
