"""The gates of the models that were called: made when they are asked for, and bounded."""

import heapq
from collections.abc import Callable

from llm_router.routing.gate import Gate

# Models named by clients are boundless; gates for them are not.
MAX_MODELS = 4096


class ModelGates(dict[str, Gate]):
    """By model. `gates[model]` makes one where there is none; `get` does not."""

    def __init__(self, make: Callable[[str], Gate]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, model: str) -> Gate:
        if len(self) >= MAX_MODELS:
            self._evict()
        gate = self[model] = self._make(model)
        return gate

    def _evict(self) -> None:
        """Forget an eighth of the models, those about which there is least to remember."""
        for gate in heapq.nsmallest(MAX_MODELS // 8, self.values(), key=_weight):
            del self[gate.subject]


def _weight(gate: Gate) -> tuple[bool, bool, float, int]:
    is_open = gate.state != "closed"
    return gate.forced is not None, is_open, gate.cooldown_until, len(gate.failed)
