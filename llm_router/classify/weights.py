"""The learned weights of the local classifier, and adding them up for one text.

`data/weights.json` is written by the trainer (`make train`): whole numbers in units of `UNIT`, by
feature, by pair of features and by word, one for each of `CATEGORIES`. The three are packed into
one integer, so that one addition adds them all; it is short enough for `sum` to add it without an
object for each step.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import combinations, repeat
from pathlib import Path

import msgspec

from llm_router.classify.traces import parts, traces

CATEGORIES = ("code", "reasoning", "conversation")
UNIT = 1 / 32
FILE = Path(__file__).with_name("data") / "weights.json"

# A long text shows more of everything, so what it shows counts for less the longer it is.
WEIGHS_LESS_FROM = 40
_AND = " + "

Triple = tuple[int, int, int]

_BITS = 20
_HALF = 1 << (_BITS - 1)  # lifts each sum above zero, so that none borrows from its neighbour
_MASK = (1 << _BITS) - 1
_LIFT = _HALF | _HALF << _BITS | _HALF << 2 * _BITS


class Learned(msgspec.Struct, frozen=True):
    """What the file holds. `temperature` divides the sums, so that confidence is honest."""

    sources: dict[str, str]  # name and licence of what was learned from
    temperature: float
    bias: Triple
    features: dict[str, Triple]
    pairs: dict[str, Triple]  # added where both are shown
    words: dict[str, Triple]


def pairs_of(features: Iterable[str]) -> Iterator[str]:
    """Yield the names under which pairs of features have a weight."""
    return map(_AND.join, combinations(sorted(features), 2))


def share_of(length: int) -> float:
    """Return what one feature or word counts for in a text of so many words."""
    return math.sqrt(WEIGHS_LESS_FROM / length) if length > WEIGHS_LESS_FROM else 1.0


class Weights:
    """Adds up what speaks for each of CATEGORIES."""

    def __init__(self, learned: Learned) -> None:
        self.learned = learned
        self._unit = UNIT / learned.temperature
        self._bias = learned.bias
        self._features = _packed(learned.features)
        self._pairs = _nested(_packed(learned.pairs))
        self._words = _packed(learned.words)
        # Looking for the words of a text in a set takes half as long as in the keys of a dict.
        self._known_words = frozenset(self._words)
        # What speaks for each category by itself, for the reasons that are shown.
        self.speaking: dict[str, dict[str, int]] = {
            category: {name: by[place] for name, by in learned.features.items() if by[place] > 0}
            for place, category in enumerate(CATEGORIES)
        }

    def logits(self, features: Sequence[str], words: Sequence[str], length: int) -> list[float]:
        """Return the logarithm of each category's odds, up to a constant they share.

        `words` are those of the text in their order, `length` is what it has of them.
        """
        total = sum(map(self._features.get, features, repeat(0)), _LIFT)
        known = self._known_words.intersection(traces(words))
        total = sum(map(self._words.__getitem__, known), total)
        shown = set(features)
        for one in self._pairs.keys() & shown:
            others = self._pairs[one]
            total = sum(map(others.__getitem__, others.keys() & shown), total)
        share = share_of(length)
        code, reasoning, conversation = self._bias
        return [
            self._unit * (code + share * ((total & _MASK) - _HALF)),
            self._unit * (reasoning + share * ((total >> _BITS & _MASK) - _HALF)),
            self._unit * (conversation + share * ((total >> 2 * _BITS) - _HALF)),
        ]

    def knows(self, words: Sequence[str]) -> bool:
        return not self._known_words.isdisjoint({*words, *parts(words)})


@cache
def weights() -> Weights:
    """Read the shipped weights, once a process."""
    return Weights(msgspec.json.decode(FILE.read_bytes(), type=Learned))


def _packed(weights: dict[str, Triple]) -> dict[str, int]:
    return {name: a + (b << _BITS) + (c << 2 * _BITS) for name, (a, b, c) in weights.items()}


def _nested(packed: dict[str, int]) -> dict[str, dict[str, int]]:
    """Return the weights of pairs by the first of the two, then by the second."""
    found: dict[str, dict[str, int]] = {}
    for name, weight in packed.items():
        one, _, other = name.partition(_AND)
        found.setdefault(one, {})[other] = weight
    return found
