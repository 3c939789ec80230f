"""The learned weights of the local classifier, and adding them up for one text.

`data/weights.json` is written by the trainer (`make train`): whole numbers in units of `UNIT`, by
feature and by word, one for each of `CATEGORIES`. The three are packed into one integer, so that
one addition adds them all.
"""

from collections.abc import Iterable
from functools import cache
from itertools import repeat
from pathlib import Path

import msgspec

CATEGORIES = ("code", "reasoning", "conversation")
UNIT = 1 / 32
FILE = Path(__file__).with_name("data") / "weights.json"

Triple = tuple[int, int, int]

_BITS = 32
_HALF = 1 << (_BITS - 1)  # lifts each sum above zero, so that none borrows from its neighbour
_MASK = (1 << _BITS) - 1
_LIFT = _HALF | _HALF << _BITS | _HALF << 2 * _BITS


class Learned(msgspec.Struct, frozen=True):
    """What the file holds. `temperature` divides the sums, so that confidence is honest."""

    sources: dict[str, str]  # name and licence of what was learned from
    temperature: float
    bias: Triple
    features: dict[str, Triple]
    words: dict[str, Triple]


class Weights:
    """Adds up what speaks for each of CATEGORIES."""

    def __init__(self, learned: Learned) -> None:
        self.learned = learned
        self._unit = UNIT / learned.temperature
        self._bias = _pack(learned.bias) + _LIFT
        self._features = {name: _pack(triple) for name, triple in learned.features.items()}
        # What speaks for each category by itself, for the reasons that are shown.
        self.speaking: dict[str, dict[str, int]] = {
            category: {name: by[place] for name, by in learned.features.items() if by[place] > 0}
            for place, category in enumerate(CATEGORIES)
        }
        self._words = {word: _pack(triple) for word, triple in learned.words.items()}

    def logits(self, features: Iterable[str], words: Iterable[str]) -> list[float]:
        """Return the logarithm of each category's odds, up to a constant they share."""
        total = sum(map(self._features.get, features, repeat(0)), self._bias)
        total += sum(map(self._words.__getitem__, self._words.keys() & words))
        return [self._unit * ((total >> at & _MASK) - _HALF) for at in (0, _BITS, 2 * _BITS)]

    def knows(self, words: Iterable[str]) -> bool:
        return not self._words.keys().isdisjoint(words)


@cache
def weights() -> Weights:
    """Read the shipped weights, once a process."""
    return Weights(msgspec.json.decode(FILE.read_bytes(), type=Learned))


def _pack(triple: Triple) -> int:
    code, reasoning, conversation = triple
    return code + (reasoning << _BITS) + (conversation << 2 * _BITS)
