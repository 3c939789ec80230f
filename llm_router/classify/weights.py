"""The learned weights of the local classifier, and adding them up for one text.

`data/weights.json` is written by the trainer (`make train`): whole numbers in units of `UNIT`, by
feature, by word and by the beginning of words, one for each of `CATEGORIES`. The three are packed
into one integer, so that one addition adds them all; it is short enough for `sum` to add it without
an object for each step.
"""

import math
from collections.abc import Collection, Iterable
from functools import cache
from itertools import repeat
from pathlib import Path

import msgspec

CATEGORIES = ("code", "reasoning", "conversation")
UNIT = 1 / 32
FILE = Path(__file__).with_name("data") / "weights.json"

# A long text shows more of everything. What it shows counts for less the longer it is, and from a
# point on features have a second weight: a word in a story is not a word in a question.
WEIGHS_LESS_FROM = 40
IS_LONG_FROM = 60
# What the forms of a word share: `optim` of "optimise" and "optimal".
BEGINNING = 5

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
    in_long: dict[str, Triple]  # added for the features of a long text
    words: dict[str, Triple]
    beginnings: dict[str, Triple]


def beginnings(words: Iterable[str]) -> set[str]:
    """Return how words that are longer than a beginning begin."""
    return {word[:BEGINNING] for word in words if len(word) > BEGINNING}


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
        self._in_long = _packed(learned.in_long)
        self._words = _packed(learned.words)
        self._beginnings = _packed(learned.beginnings)
        # Looking for the words of a text in a set takes half as long as in the keys of a dict.
        self._known_words = frozenset(self._words)
        self._known_beginnings = frozenset(self._beginnings)
        # What speaks for each category by itself, for the reasons that are shown.
        self.speaking: dict[str, dict[str, int]] = {
            category: {name: by[place] for name, by in learned.features.items() if by[place] > 0}
            for place, category in enumerate(CATEGORIES)
        }

    def logits(self, features: Collection[str], words: Collection[str], length: int) -> list[float]:
        """Return the logarithm of each category's odds, up to a constant they share.

        `length` is that of the text in words.
        """
        total = sum(map(self._features.get, features, repeat(0)), _LIFT)
        known = self._known_words.intersection(words)
        total = sum(map(self._words.__getitem__, known), total)
        begun = self._known_beginnings.intersection(beginnings(words))
        total = sum(map(self._beginnings.__getitem__, begun), total)
        if length > IS_LONG_FROM:
            total += sum(map(self._in_long.get, features, repeat(0)))
        share = share_of(length)
        code, reasoning, conversation = self._bias
        return [
            self._unit * (code + share * ((total & _MASK) - _HALF)),
            self._unit * (reasoning + share * ((total >> _BITS & _MASK) - _HALF)),
            self._unit * (conversation + share * ((total >> 2 * _BITS) - _HALF)),
        ]

    def knows(self, words: Iterable[str]) -> bool:
        return not self._known_words.isdisjoint(words)


@cache
def weights() -> Weights:
    """Read the shipped weights, once a process."""
    return Weights(msgspec.json.decode(FILE.read_bytes(), type=Learned))


def _packed(weights: dict[str, Triple]) -> dict[str, int]:
    return {name: a + (b << _BITS) + (c << 2 * _BITS) for name, (a, b, c) in weights.items()}
