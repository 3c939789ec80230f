"""The whole decision: cheap and certain first, slow and clever only in doubt, always an answer."""

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from msgspec.structs import replace

from llm_router.classify.base import CallBook, Decision, Prompt, Step, StepFault
from llm_router.classify.guard import Guard
from llm_router.classify.keywords import Keywords, labels_of
from llm_router.clock import Clock
from llm_router.routing.config import RoutingConfig
from llm_router.settings import ClassifierSettings

log = logging.getLogger(__name__)

# Measured on the prompts that `keywords` speaks of: from here on it decides 78 % of them and is
# right on 92 %; on the rest on 60 %, which is what a language model has to beat.
CERTAIN = 0.7
# A category without keywords can be recognised by a language model only.
CERTAIN_OF_SOME = 0.95
# What one step may use of the remaining time while another one could still follow.
_SHARE = 0.6
_LEAST_S = 0.02
_KEPT = 4096
_GUESS_KEPT_S = 30.0


class HybridClassifier:
    """Every mode: keywords, then the remote steps that the mode has, within one budget.

    In modes `ollama` and `api` (`asks_first`) the step is asked even when the keywords are certain.
    Decisions are remembered by text, so the tool steps of a conversation keep that of their user
    turn; a guess that was made because steps failed, for half a minute only.
    """

    def __init__(
        self,
        settings: ClassifierSettings,
        steps: Sequence[Step],
        clock: Clock,
        *,
        asks_first: bool = False,
    ) -> None:
        self.counters: Counter[tuple[str, str]] = Counter()  # (step, why it could not decide)
        self._settings = settings
        self._steps = tuple((step, Guard(clock)) for step in steps)
        self._clock = clock
        self._asks_first = asks_first
        self._keywords = Keywords()
        self._kept: OrderedDict[bytes, tuple[Decision, float | None]] = OrderedDict()

    async def start(self) -> None:
        for step, _ in self._steps:
            await step.start()

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
        key = _key(prompt, config)
        if (known := self._known(key)) is not None:
            return known
        guess = self._keywords.judge(prompt, config)
        if not self._steps or self._is_enough(guess, prompt, config):
            return self._keep(key, guess)
        skipped: list[str] = []
        decision = await self._ask(prompt, config, book, skipped)
        if decision is not None:
            return self._keep(key, replace(decision, skipped=tuple(skipped)))
        until = self._clock.monotonic() + _GUESS_KEPT_S
        return self._keep(key, replace(guess, skipped=tuple(skipped)), until)

    def _is_enough(self, guess: Decision, prompt: Prompt, config: RoutingConfig) -> bool:
        """Whether no step needs to be asked, or none could know better."""
        if prompt.chore or not prompt.text.strip() or len(labels_of(config)) < 2:
            return True
        if self._asks_first or guess.by != "keywords":
            return False
        bar = CERTAIN if self._keywords.sees_all(config) else CERTAIN_OF_SOME
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

    def _known(self, key: bytes) -> Decision | None:
        found = self._kept.get(key)
        if found is None:
            return None
        decision, until = found
        if until is not None and self._clock.monotonic() >= until:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return decision

    def _keep(self, key: bytes, decision: Decision, until: float | None = None) -> Decision:
        self._kept[key] = decision, until
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return decision


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


def _key(prompt: Prompt, config: RoutingConfig) -> bytes:
    """Name a decision without keeping the prompt's text in memory."""
    parts = f"{config.version}\0{prompt.chore}\0{prompt.context}\0{prompt.text}"
    return blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).digest()
