"""Multinomial logistic regression with a ridge penalty, in plain Python.

The same examples give the same weights to the last bit, on any machine and without a library whose
sums depend on the processor; a minute is quick enough for a few thousand prompts.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import repeat
from operator import mul, sub

from llm_router.classify.weights import CATEGORIES, UNIT, Learned, Triple
from training.examples import OWN_SOURCE, Example, known_features, known_words
from training.minimize import Vector, minimize
from training.prior import prior

# What pulls a weight back to where it began: as set by hand, or zero.
_PENALTY = 20.0
# A source with more prompts in a language than this counts for as many.
_SOURCE_COUNTS = 100
# Our own prompts were written to cover what people ask, not one kind of it.
_OWN_COUNTS = 3.0
_CLASSES = range(len(CATEGORIES))


class _Problem:
    """The loss over weighted rows. A vector holds the weights category by category, biases last."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.features = known_features(examples)
        self.words = known_words(examples)
        places = {name: at for at, name in enumerate(self.features)}
        words = {word: at for at, word in enumerate(self.words, len(places))}
        self.width = len(places) + len(words)
        self._rows = [
            (
                (
                    *(places[name] for name in example.features if name in places),
                    *sorted(words[word] for word in example.words if word in words),
                ),
                example.label,
                weight,
            )
            for example, weight in zip(examples, weights_of(examples), strict=True)
        ]
        begin = prior(examples)
        self.start = [
            weight
            for k in _CLASSES
            for weight in (
                *(begin[name][k] if name in begin else 0.0 for name in self.features),
                *repeat(0.0, len(self.words)),
            )
        ]
        self.start += [0.0] * len(CATEGORIES)

    def loss(self, at: Vector) -> tuple[float, Vector]:
        """Return loss and gradient."""
        width = self.width
        weights = [at[width * k : width * (k + 1)] for k in _CLASSES]
        biases = at[width * len(CATEGORIES) :]
        slopes = [[0.0] * width for _ in _CLASSES]
        bias_slopes = [0.0] * len(CATEGORIES)
        loss = 0.0
        for shown, label, counts in self._rows:
            logits = [biases[k] + sum(map(weights[k].__getitem__, shown)) for k in _CLASSES]
            top = max(logits)
            odds = [math.exp(logit - top) for logit in logits]
            total = sum(odds)
            loss += counts * (math.log(total) + top - logits[label])
            for k in _CLASSES:
                error = counts * (odds[k] / total - (k == label))
                bias_slopes[k] += error
                slope = slopes[k]
                for place in shown:
                    slope[place] += error
        moved = list(map(sub, at, self.start))
        moved[-len(CATEGORIES) :] = repeat(0.0, len(CATEGORIES))  # biases are free
        loss += 0.5 * _PENALTY * sum(map(mul, moved, moved))
        flat = [*slopes[0], *slopes[1], *slopes[2], *bias_slopes]
        return loss, [slope + _PENALTY * far for slope, far in zip(flat, moved, strict=True)]


def fit(examples: Sequence[Example], temperature: float = 1.0) -> Learned:
    """Return the weights that fit, rounded to whole units."""
    problem = _Problem(examples)
    found = [round(weight / UNIT) for weight in minimize(problem.loss, problem.start)]

    def triple(place: int) -> Triple:
        return (found[place], found[problem.width + place], found[2 * problem.width + place])

    features = {name: triple(at) for at, name in enumerate(problem.features)}
    words = {word: triple(at) for at, word in enumerate(problem.words, len(features))}
    return Learned(
        sources=dict(sorted({(e.line.source, e.line.licence) for e in examples})),
        temperature=temperature,
        bias=(found[-3], found[-2], found[-1]),
        features={name: weights for name, weights in features.items() if any(weights)},
        words={word: weights for word, weights in words.items() if any(weights)},
    )


def weights_of(examples: Sequence[Example]) -> list[float]:
    """Let sources count by their size up to a point, and the categories alike."""
    sizes = Counter((e.line.source, e.line.lang) for e in examples)
    counts = [
        _OWN_COUNTS
        if e.line.source == OWN_SOURCE
        else min(1.0, _SOURCE_COUNTS / sizes[e.line.source, e.line.lang])
        for e in examples
    ]
    totals = [0.0] * len(CATEGORIES)
    for example, count in zip(examples, counts, strict=True):
        totals[example.label] += count
    even = len(examples) / len(CATEGORIES)
    return [count * even / totals[e.label] for e, count in zip(examples, counts, strict=True)]
