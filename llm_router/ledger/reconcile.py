"""Asking OpenRouter afterwards what a call cost whose answer did not say.

A client that left, a stream that broke and a process that died all leave a generation id and an
unknown cost. `GET /generation?id=` knows it, but not at once: it answers 404 until the generation
is written (https://openrouter.ai/docs/api-reference/get-a-generation). What is still to be asked
stands in the database, so a restart forgets none.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from llm_router.clock import Clock, utc_text
from llm_router.errors import StorageError, UpstreamError
from llm_router.ledger.cost import Usage
from llm_router.ledger.pricing import nanousd, token_count

log = logging.getLogger(__name__)

# Seconds between tries; the last one repeats until the cost is given up.
_DELAYS_S = (2, 5, 10, 30, 60, 300, 1800, 7200, 21_600)
_GIVE_UP_AFTER_S = 3 * 86_400
# While these last nothing at all is asked: the fault is not the one generation's.
_REST_S = {401: 600.0, 402: 600.0, 403: 600.0, 429: 60.0}
_REST_WITHOUT_NETWORK_S = 10.0
_POLL_S = 1.0
_COSTS_PER_ROUND = 20

Fetch = Callable[[str], Awaitable[tuple[int, Any]]]
"""Generation id → HTTP status and the decoded body; raises UpstreamError below HTTP."""


@dataclass(frozen=True, slots=True)
class OpenCost:
    """A cost to ask for. `since` is when the attempt ended, as UTC text."""

    attempt_id: str
    generation_id: str
    tries: int
    since: str


@dataclass(frozen=True, slots=True)
class Generation:
    """What the provider knows of a finished generation."""

    cost_nanousd: int
    usage: Usage
    provider: str | None
    model: str | None


class CostStore(Protocol):
    async def open_costs(self, due_at: str, limit: int) -> list[OpenCost]:
        """Return the costs due at that time, the longest due first."""

    async def settle_cost(self, attempt_id: str, generation: Generation) -> None:
        """Book what was learned, in the attempt and in its request's sum."""

    async def postpone_cost(self, attempt_id: str, until: str) -> None:
        """Count a try that did not help."""

    async def give_up_cost(self, attempt_id: str) -> None:
        """Ask no more; the cost stays unknown."""


class Reconciler:
    def __init__(self, store: CostStore, fetch: Fetch, clock: Clock) -> None:
        self._store = store
        self._fetch = fetch
        self._clock = clock
        self._resting_until = clock.monotonic()
        self._is_failing = False

    async def run(self) -> NoReturn:
        """Ask for what is due, for as long as the task lives."""
        while True:
            try:
                await self.run_due()
            except StorageError as exc:
                if not self._is_failing:
                    log.warning("costs cannot be reconciled: %s", exc)
                self._is_failing = True
            else:
                self._is_failing = False
            await asyncio.sleep(_POLL_S)

    async def run_due(self) -> int:
        """Ask once for each cost that is due now; return how many are known thereafter."""
        settled = 0
        for cost in await self._store.open_costs(self._time(), _COSTS_PER_ROUND):
            if self._clock.monotonic() < self._resting_until:
                break
            settled += await self._ask(cost)
        return settled

    async def _ask(self, cost: OpenCost) -> bool:
        try:
            status, body = await self._fetch(cost.generation_id)
        except UpstreamError:
            self._rest(_REST_WITHOUT_NETWORK_S)
            await self._not_yet(cost)
            return False
        if status == 200 and (generation := _generation(body)) is not None:
            await self._store.settle_cost(cost.attempt_id, generation)
            return True
        if status in _REST_S:
            self._rest(_REST_S[status])
        await self._not_yet(cost)
        return False

    async def _not_yet(self, cost: OpenCost) -> None:
        if cost.since < self._time(-_GIVE_UP_AFTER_S):
            log.warning("what generation %s cost will stay unknown", cost.generation_id)
            await self._store.give_up_cost(cost.attempt_id)
            return
        delay_s = _DELAYS_S[min(cost.tries, len(_DELAYS_S) - 1)]
        await self._store.postpone_cost(cost.attempt_id, self._time(delay_s))

    def _rest(self, seconds: float) -> None:
        self._resting_until = self._clock.monotonic() + seconds

    def _time(self, offset_s: float = 0) -> str:
        return utc_text(self._clock.wall() + offset_s)


def _generation(body: Any) -> Generation | None:
    data = body.get("data", body) if isinstance(body, Mapping) else None
    if not isinstance(data, Mapping) or (cost := nanousd(data.get("total_cost"))) is None:
        return None
    return Generation(
        cost_nanousd=cost,
        usage=Usage(
            prompt_tokens=token_count(data.get("native_tokens_prompt")),
            completion_tokens=token_count(data.get("native_tokens_completion")),
            cached_tokens=token_count(data.get("native_tokens_cached")),
            reasoning_tokens=token_count(data.get("native_tokens_reasoning")),
        ),
        provider=_word(data.get("provider_name")),
        model=_word(data.get("model")),
    )


def _word(value: Any) -> str | None:
    return value[:256] if isinstance(value, str) and value else None
