"""The learned weights of the local classifier, and adding them up for one text.

`data/weights.json` is written by the trainer (`make train`): whole numbers in units of `UNIT`, by
feature, by pair of features and by word, one for each of `CATEGORIES`. The three are packed into
one integer, so that one addition adds them all; it is short enough for `sum` to add it without an
object for each step.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import combinations, product
from pathlib import Path

import msgspec

from llm_router.classify.features import AND
from llm_router.classify.traces import parts, traces

CATEGORIES = ("code", "reasoning", "conversation")
UNIT = 1 / 32
FILE = Path(__file__).with_name("data") / "weights.json"

# A long text shows more of everything, so what it shows counts for less the longer it is.
WEIGHS_LESS_FROM = 40

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
    return map(AND.join, combinations(sorted(features), 2))


def share_of(length: int) -> float:
    """Return what one feature or word counts for in a text of so many words."""
    return math.sqrt(WEIGHS_LESS_FROM / length) if length > WEIGHS_LESS_FROM else 1.0


class Weights:
    """Adds up what speaks for each of CATEGORIES."""

    def __init__(self, learned: Learned) -> None:
        self.learned = learned
        self._unit = UNIT / learned.temperature
        self._bias = learned.bias
        self._pairs = _Pairs(_packed(learned.pairs))
        self._features = _Features(_packed(learned.features), self._pairs)
        self._words = _packed(learned.words)
        # Looking for the words of a text in a set takes half as long as in the keys of a dict.
        self._known_words = frozenset(self._words)
        # What speaks for each category by itself, for the reasons that are shown.
        self.speaking: dict[str, dict[str, int]] = {
            category: {name: by[place] for name, by in learned.features.items() if by[place] > 0}
            for place, category in enumerate(CATEGORIES)
        }

    def logits(self, shown: Sequence[str], words: Sequence[str], length: int) -> list[float]:
        """Return the logarithm of each category's odds, up to a constant they share.

        `shown` are features, each once, those with AND between them together. `words` are those of
        the text in their order, `length` is what it has of them.
        """
        total = sum(map(self._features.__getitem__, shown), _LIFT)
        total = sum(map(self._pairs.__getitem__, combinations(shown, 2)), total)
        known = self._known_words.intersection(traces(words))
        total = sum(map(self._words.__getitem__, known), total)
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


class _Features(dict[str, int]):
    """What one or several features come to, added up when they are first shown.

    Both this and `_Pairs` hold what `features.shown` has names for, some two hundred at most.
    """

    def __init__(self, alone: dict[str, int], pairs: "_Pairs") -> None:
        super().__init__(alone)
        self._pairs = pairs

    def __missing__(self, shown: str) -> int:
        names = shown.split(AND)
        total = 0
        if len(names) > 1:
            total = sum(self[name] for name in names)
            total += sum(self._pairs[pair] for pair in combinations(names, 2))
        self[shown] = total
        return total


class _Pairs(dict[tuple[str, str], int]):
    """What comes to the features by being shown together, added up when they first are."""

    def __init__(self, learned: dict[str, int]) -> None:
        super().__init__()
        self._learned = learned

    def __missing__(self, pair: tuple[str, str]) -> int:
        one, other = pair
        names = map(sorted, product(one.split(AND), other.split(AND)))
        total = self[pair] = sum(self._learned.get(AND.join(both), 0) for both in names)
        return total
