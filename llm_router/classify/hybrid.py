"""The whole decision: cheap and certain first, slow and clever only in doubt, always an answer."""

import asyncio
import functools
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from llm_router.classify.base import CallBook, Decision, Judge, Prompt, Step, StepFault
from llm_router.classify.cache import DecisionCache, key_of
from llm_router.classify.guard import Guard
from llm_router.classify.labels import labels_of
from llm_router.clock import Clock
from llm_router.routing.config import RoutingConfig
from llm_router.settings import ClassifierSettings

log = logging.getLogger(__name__)

# From here on the judge is believed; docs/routing.md has the figures that set it.
CERTAIN = 0.7
# A category without keywords can be recognised by a language model only.
CERTAIN_OF_SOME = 0.95
# What one step may use of the remaining time while another one could still follow.
_SHARE = 0.6
_LEAST_S = 0.02


class HybridClassifier:
    """Every mode: what decides at once, then the remote steps of the mode, within one budget.

    In modes `ollama` and `api` (`asks_first`) the step is asked even when the judge is certain.
    What was decided is remembered; `cache` is one of its own unless given. `judge` makes what
    decides at once; it is called when that is first needed, and once.
    """

    def __init__(
        self,
        settings: ClassifierSettings,
        steps: Sequence[Step],
        clock: Clock,
        judge: Callable[[], Judge],
        *,
        asks_first: bool = False,
        cache: DecisionCache | None = None,
    ) -> None:
        self.counters: Counter[tuple[str, str]] = Counter()  # (step, why it could not decide)
        self._settings = settings
        self._steps = tuple((step, Guard(clock)) for step in steps)
        self._asks_first = asks_first
        self._judge = functools.cache(judge)
        self._warming: asyncio.Future[None] | None = None
        self._cache = DecisionCache(clock) if cache is None else cache

    async def start(self) -> None:
        for step, _ in self._steps:
            await step.start()

    async def warm(self) -> None:
        loop = asyncio.get_running_loop()
        self._warming = loop.run_in_executor(None, lambda: self._judge().warm())
        try:
            await self._warming
        finally:
            self._warming = None

    async def close(self) -> None:
        for step, _ in self._steps:
            await step.close()

    def status(self) -> dict[str, Any]:
        """Return the mode, each remote step's state and why steps were skipped, for /health."""
        return {
            "mode": self._settings.mode,
            "steps": {step.name: _state(step, guard) for step, guard in self._steps},
            "skipped": {f"{name}: {why}": n for (name, why), n in sorted(self.counters.items())},
        }

    async def decide(self, prompt: Prompt, config: RoutingConfig, book: CallBook) -> Decision:
        if prompt.has_tools and self._settings.tools == "category" and "tools" in config.categories:
            return Decision("tools", "tools", 1.0, "the request carries tools")
        key = key_of(prompt, config)
        if (known := self._cache.find(key, is_step=prompt.is_step)) is not None:
            return known
        if self._warming is not None:
            await asyncio.wait([self._warming])
        judge = self._judge()
        guess = judge.judge(prompt, config)
        if not self._steps or self._is_enough(guess, judge, prompt, config):
            return self._cache.keep(key, guess)
        skipped: list[str] = []
        decision = await self._ask(prompt, config, book, skipped)
        if decision is not None:
            rule = f"{decision.rule}; {guess.by} alone: {guess.category}"
            return self._cache.keep(key, replace(decision, rule=rule, skipped=tuple(skipped)))
        return self._cache.keep(key, replace(guess, skipped=tuple(skipped)), is_guess=True)

    def _is_enough(
        self, guess: Decision, judge: Judge, prompt: Prompt, config: RoutingConfig
    ) -> bool:
        """Whether no step needs to be asked, or none could know better."""
        if prompt.chore or not prompt.text.strip() or len(labels_of(config)) < 2:
            return True
        if guess.by != judge.name:
            return guess.by == "keywords"  # a keyword that a user gave a category of their own
        if self._asks_first:
            return False
        bar = CERTAIN if judge.sees_all(config) else CERTAIN_OF_SOME
        return (guess.confidence or 0) >= bar

    async def _ask(
        self, prompt: Prompt, config: RoutingConfig, book: CallBook, skipped: list[str]
    ) -> Decision | None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._settings.budget_ms / 1000
        for place, (step, guard) in enumerate(self._steps, 1):
            left_s = ends - loop.time()
            try:
                if left_s < _LEAST_S:
                    raise StepFault("no time left", is_failure=False)
                limit_s = left_s if place == len(self._steps) else left_s * _SHARE
                return await _guarded(step, guard, prompt, config, book, limit_s)
            except StepFault as fault:
                skipped.append(f"{step.name}: {fault}")
                self.counters[step.name, str(fault)] += 1
        return None


async def _guarded(
    step: Step,
    guard: Guard,
    prompt: Prompt,
    config: RoutingConfig,
    book: CallBook,
    limit_s: float,
) -> Decision:
    """Ask one step under its guard. Raises StepFault, else nothing but CancelledError."""
    if not guard.admits():
        raise StepFault("resting", is_failure=False)
    try:
        decision = await step.decide(prompt, config, book, limit_s)
    except StepFault as fault:
        if fault.is_failure:
            guard.failed()
        else:
            guard.released()
        raise
    except asyncio.CancelledError:
        guard.released()
        raise
    except Exception:
        # A classifier never fails a request, not even by a mistake of ours.
        log.exception("classifier step %s failed", step.name)
        guard.failed()
        raise StepFault("error") from None
    guard.succeeded()
    return decision


def _state(step: Step, guard: Guard) -> str:
    status = step.status()
    return "resting" if status == "ok" and guard.is_resting else status
