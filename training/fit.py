"""Multinomial logistic regression with a ridge penalty, in plain Python.

The same examples give the same weights to the last bit, on any machine and without a library whose
sums depend on the processor.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import repeat
from operator import mul, sub

from llm_router.classify.weights import (
    CATEGORIES,
    IS_LONG_FROM,
    UNIT,
    Learned,
    Triple,
    share_of,
)
from training.examples import (
    OWN_SOURCE,
    Example,
    known_beginnings,
    known_features,
    known_words,
)
from training.minimize import Vector, minimize
from training.prior import prior

# What pulls a weight back to where it began: features as set by hand, all others at zero.
_PENALTY = 20.0
_WORD_PENALTY = 10.0
# A source with more prompts of a label in a language than this counts for as many.
_SOURCE_COUNTS = 100
# Our own prompts were written to cover what people ask, not one kind of it.
_OWN_COUNTS = 2.0
_CLASSES = range(len(CATEGORIES))


class _Problem:
    """The loss over weighted rows. A vector holds the weights category by category, biases last."""

    def __init__(self, examples: Sequence[Example]) -> None:
        # In the order of Learned's members, which also is that of a vector.
        self.names = (
            known_features(examples),
            known_features(e for e in examples if e.length > IS_LONG_FROM),
            known_words(examples),
            known_beginnings(examples),
        )
        self.width = sum(map(len, self.names))
        places = self._places()
        self._rows = [
            (_shown(example, places), share_of(example.length), example.label, weight)
            for example, weight in zip(examples, weights_of(examples), strict=True)
        ]
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
        of_features = len(self.names[0]) + len(self.names[1])
        pulls = [*repeat(_PENALTY, of_features), *repeat(_WORD_PENALTY, self.width - of_features)]
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
        weights = [at[width * k : width * (k + 1)] for k in _CLASSES]
        biases = at[width * len(CATEGORIES) :]
        slopes = [[0.0] * width for _ in _CLASSES]
        bias_slopes = [0.0] * len(CATEGORIES)
        loss = 0.0
        for shown, share, label, counts in self._rows:
            logits = [biases[k] + share * sum(map(weights[k].__getitem__, shown)) for k in _CLASSES]
            top = max(logits)
            odds = [math.exp(logit - top) for logit in logits]
            total = sum(odds)
            loss += counts * (math.log(total) + top - logits[label])
            for k in _CLASSES:
                error = counts * (odds[k] / total - (k == label))
                bias_slopes[k] += error
                error *= share
                slope = slopes[k]
                for place in shown:
                    slope[place] += error
        moved = list(map(sub, at, self.begin))
        pulled = list(map(mul, self._pulls, moved))
        loss += 0.5 * sum(map(mul, pulled, moved))
        flat = [*slopes[0], *slopes[1], *slopes[2], *bias_slopes]
        return loss, [slope + pull for slope, pull in zip(flat, pulled, strict=True)]

    def vector(self, learned: Learned) -> Vector:
        """Return weights that were learned from other examples, what is missing as it begins."""
        found = self.begin.copy()
        known = (learned.features, learned.in_long, learned.words, learned.beginnings)
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
    in_long = example.features if example.length > IS_LONG_FROM else ()
    kinds = (example.features, in_long, example.words, example.beginnings)
    return tuple(
        place
        for names, known in zip(kinds, places, strict=True)
        for place in sorted(known[name] for name in names if name in known)
    )


def weights_of(examples: Sequence[Example]) -> list[float]:
    """Let sources count by their size up to a point, and the categories alike."""
    sizes = Counter((e.line.source, e.line.lang, e.label) for e in examples)
    counts = [
        _OWN_COUNTS
        if e.line.source == OWN_SOURCE
        else min(1.0, _SOURCE_COUNTS / sizes[e.line.source, e.line.lang, e.label])
        for e in examples
    ]
    totals = [0.0] * len(CATEGORIES)
    for example, count in zip(examples, counts, strict=True):
        totals[example.label] += count
    even = len(examples) / len(CATEGORIES)
    return [count * even / totals[e.label] for e, count in zip(examples, counts, strict=True)]
