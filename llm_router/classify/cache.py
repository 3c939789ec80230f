"""Decisions by text: what was decided once is not asked again, nor answered differently.

One user turn is many requests when a model calls tools: they all carry the same last words of the
human, so they get the same decision. The table is this process's own; with several workers each
decides for itself, by the same rules.
"""

from collections import OrderedDict
from collections.abc import Hashable

from llm_router.classify.base import Decision, Prompt
from llm_router.clock import Clock
from llm_router.routing.config import RoutingConfig

KEPT = 4096
# A guess that was made because the steps that know better failed is made anew after it, except
# within a user turn: a model that changes half way costs more than a guess that stands.
GUESS_KEPT_S = 30.0


class DecisionCache:
    """Remembers the latest decisions, at most `kept` of them."""

    def __init__(self, clock: Clock, kept: int = KEPT) -> None:
        self._clock = clock
        self._limit = kept
        self._kept: OrderedDict[Hashable, tuple[Decision, float | None]] = OrderedDict()

    def find(self, key: Hashable, *, is_step: bool = False) -> Decision | None:
        """Return what was decided; `is_step` says that the user turn has begun before."""
        found = self._kept.get(key)
        if found is None:
            return None
        decision, until = found
        if until is not None and not is_step and self._clock.monotonic() >= until:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return decision

    def keep(self, key: Hashable, decision: Decision, *, is_guess: bool = False) -> Decision:
        until = self._clock.monotonic() + GUESS_KEPT_S if is_guess else None
        self._kept[key] = decision, until
        if len(self._kept) > self._limit:
            self._kept.popitem(last=False)
        return decision


def key_of(prompt: Prompt, config: RoutingConfig) -> int:
    """Name a decision without keeping the prompt's text in memory.

    Python's own hash is keyed with a secret of this process. Where it has 64 bits, two of the
    prompts that are kept never share one; where it has 32, far less often than one is misjudged.
    """
    return hash((config.version, prompt.chore, prompt.context, prompt.text))
