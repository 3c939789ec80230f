"""What another mode would have decided: asked behind each answer, booked without a text.

It runs when the request is over, so no request waits for it. Only modes that cost nothing can be
shadows: one that pays for every prompt a second time is better tried with `llm-router eval`.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from llm_router.classify.base import Classifier, Decision, NoBook, Prompt
from llm_router.clock import Clock
from llm_router.ledger.entry import ShadowDecided
from llm_router.routing.config import RoutingConfig
from llm_router.tasks import spawn

MOST_AT_ONCE = 32


class Shadow:
    """Decides with the classifier of another `mode`; `append` journals what it said."""

    def __init__(
        self,
        mode: str,
        classifier: Classifier,
        append: Callable[[ShadowDecided], None],
        clock: Clock,
    ) -> None:
        self._mode = mode
        self._classifier = classifier
        self._append = append
        self._clock = clock
        self._under_way: set[asyncio.Task[None]] = set()
        self._dropped = 0

    def status(self) -> dict[str, Any]:
        """Return the mode and how many prompts it left out for having too many, for /health."""
        return {"mode": self._mode, "dropped": self._dropped}

    def compare(
        self, request_id: str, prompt: Prompt, config: RoutingConfig, judged: Decision
    ) -> None:
        """Have it decide on what `judged` was decided on; returns at once."""
        if len(self._under_way) >= MOST_AT_ONCE:
            self._dropped += 1
            return
        task = spawn(self._compare(request_id, prompt, config, judged), name="shadow")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Give up what is under way; nothing is journaled from then on."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _compare(
        self, request_id: str, prompt: Prompt, config: RoutingConfig, judged: Decision
    ) -> None:
        started = time.perf_counter()
        said = await self._classifier.decide(prompt, config, NoBook())
        elapsed_ms = round(1000 * (time.perf_counter() - started))
        self._append(
            ShadowDecided(
                request_id,
                self._clock.wall(),
                judged.by,
                judged.category,
                judged.confidence,
                self._mode,
                said.by,
                said.category,
                said.confidence,
                elapsed_ms,
            )
        )
