"""Multinomial logistic regression with a ridge penalty, in plain Python.

The same examples give the same weights to the last bit, on any machine and without a library whose
sums depend on the processor.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import repeat
from operator import add, mul, sub

from llm_router.classify.weights import (
    CATEGORIES,
    UNIT,
    Learned,
    Triple,
    share_of,
)
from training.examples import (
    Example,
    known_features,
    known_pairs,
    known_words,
)
from training.minimize import Vector, minimize
from training.prior import prior

# What pulls a weight back to where it began: features as set by hand, all others at zero.
_PENALTY = 20.0
_WORD_PENALTY = 3.0
# A source with more prompts of a label in a language than this counts for as many.
_SOURCE_COUNTS = 100
# What people really asked assistants, and our own prompts, which were written to cover that.
_REAL = "real-llm-prompt"
_REAL_COUNTS = 2.0
# Files of our own in which prompts of one kind look like another: roles and letters with a subject
# of experts, tasks without the words of their trade, what testers and strangers type. Most
# mistakes are made there; the other files have many more prompts that nobody would get wrong.
HARD = frozenset(
    (
        *("arena", "formal", "logs", "tasks", "volunteers"),
        *("letters_english", "letters_french", "letters_german", "letters_spanish"),
    )
)
_HARD_COUNTS = 4.0
# What the categories count for together. On sources that were left out, reasoning is missed the
# most; so all three are found about alike.
_CATEGORY_COUNTS = (1.0, 1.2, 1.0)
_CLASSES = range(len(CATEGORIES))


class _Problem:
    """The loss over weighted rows. A vector holds the weights category by category, biases last."""

    def __init__(self, examples: Sequence[Example]) -> None:
        # In the order of Learned's members, which also is that of a vector.
        self.names = (
            known_features(examples),
            known_pairs(examples),
            known_words(examples),
        )
        self.width = sum(map(len, self.names))
        places = self._places()
        self._rows = [_shown(example, places) for example in examples]
        self._columns = _columns(self._rows, self.width)
        self._shares = [share_of(example.length) for example in examples]
        self._labels = [example.label for example in examples]
        self._counts = weights_of(examples)
        by_hand = prior(examples)
        features, others = self.names[0], self.width - len(self.names[0])
        self.begin = [
            weight
            for k in _CLASSES
            for weight in (
                *(by_hand[name][k] if name in by_hand else 0.0 for name in features),
                *repeat(0.0, others),
            )
        ]
        self.begin += repeat(0.0, len(CATEGORIES))
        words = len(self.names[-1])
        pulls = [*repeat(_PENALTY, self.width - words), *repeat(_WORD_PENALTY, words)]
        self._pulls = [*pulls * len(CATEGORIES), *repeat(0.0, len(CATEGORIES))]  # biases are free

    def _places(self) -> list[dict[str, int]]:
        places, begin = [], 0
        for names in self.names:
            places.append({name: at for at, name in enumerate(names, begin)})
            begin += len(names)
        return places

    def loss(self, at: Vector) -> tuple[float, Vector]:
        """Return loss and gradient."""
        width = self.width
        weights = [at[width * k : width * (k + 1)].__getitem__ for k in _CLASSES]
        biases = at[width * len(CATEGORIES) :]
        errors: list[Vector] = [[] for _ in _CLASSES]
        loss = 0.0
        rows = zip(self._rows, self._shares, self._labels, self._counts, strict=True)
        for shown, share, label, counts in rows:
            logits = [biases[k] + share * sum(map(weights[k], shown)) for k in _CLASSES]
            top = max(logits)
            odds = [math.exp(logit - top) for logit in logits]
            total = sum(odds)
            loss += counts * (math.log(total) + top - logits[label])
            for k in _CLASSES:
                errors[k].append(counts * (odds[k] / total - (k == label)))
        slopes: Vector = []
        for of_class in errors:
            error = list(map(mul, of_class, self._shares)).__getitem__
            slopes += [sum(map(error, column)) for column in self._columns]
        moved = list(map(sub, at, self.begin))
        pulled = list(map(mul, self._pulls, moved))
        loss += 0.5 * sum(map(mul, pulled, moved))
        return loss, [*map(add, slopes, pulled), *map(sum, errors)]

    def vector(self, learned: Learned) -> Vector:
        """Return weights that were learned from other examples, what is missing as it begins."""
        found = self.begin.copy()
        known = (learned.features, learned.pairs, learned.words)
        for weights, places in zip(known, self._places(), strict=True):
            for name, place in places.items():
                for k, weight in enumerate(weights.get(name, ())):
                    found[self.width * k + place] = weight * UNIT
        found[-len(CATEGORIES) :] = [weight * UNIT for weight in learned.bias]
        return found

    def learned(self, found: Vector, examples: Sequence[Example]) -> Learned:
        """Return a vector as weights in whole units."""
        units = [round(weight / UNIT) for weight in found]

        def triples(places: dict[str, int]) -> dict[str, Triple]:
            width = self.width
            all_ = {
                name: (units[place], units[width + place], units[2 * width + place])
                for name, place in places.items()
            }
            return {name: triple for name, triple in all_.items() if any(triple)}

        return Learned(
            {e.line.source: e.line.licence for e in sorted(examples, key=lambda e: e.line.source)},
            1.0,
            (units[-3], units[-2], units[-1]),
            *map(triples, self._places()),
        )


def fit(examples: Sequence[Example], near: Learned | None = None) -> Learned:
    """Return the weights that fit, rounded to whole units, with a temperature of 1.

    There is one optimum; weights `near` it, learned from about the same examples, save time.
    """
    problem = _Problem(examples)
    start = problem.vector(near) if near else problem.begin
    return problem.learned(minimize(problem.loss, start), examples)


def _shown(example: Example, places: Sequence[dict[str, int]]) -> tuple[int, ...]:
    kinds = (example.features, example.pairs, example.traces)
    return tuple(
        place
        for names, known in zip(kinds, places, strict=True)
        for place in sorted(known[name] for name in names if name in known)
    )


def _columns(rows: Sequence[tuple[int, ...]], width: int) -> list[tuple[int, ...]]:
    """Return by place the rows that show it."""
    found: list[list[int]] = [[] for _ in range(width)]
    for number, shown in enumerate(rows):
        for place in shown:
            found[place].append(number)
    return list(map(tuple, found))


def weights_of(examples: Sequence[Example]) -> list[float]:
    """Let sources count by their size up to a point, and the categories about alike."""
    sizes = Counter((e.line.source, e.line.lang, e.label) for e in examples)

    def counts_as(e: Example) -> float:
        if e.is_own:
            return _HARD_COUNTS if e.line.file in HARD else _REAL_COUNTS
        if e.line.stratum.startswith(_REAL):
            return _REAL_COUNTS
        return min(1.0, _SOURCE_COUNTS / sizes[e.line.source, e.line.lang, e.label])

    counts = list(map(counts_as, examples))
    totals = [0.0] * len(CATEGORIES)
    for example, count in zip(examples, counts, strict=True):
        totals[example.label] += count
    even = len(examples) / len(CATEGORIES)
    shares = [
        even * category / total for category, total in zip(_CATEGORY_COUNTS, totals, strict=True)
    ]
    return [count * shares[e.label] for e, count in zip(examples, counts, strict=True)]
