"""How right the classifier is on sources it has not learned from, and how sure it should be."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from llm_router.classify.weights import CATEGORIES, Learned, Weights
from training.examples import Example
from training.fit import fit

Pair = tuple[int, int]  # the label and what was decided, as places in CATEGORIES
BANDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Judged:
    """An example and what weights made of it that had not seen its source."""

    example: Example
    logits: tuple[float, ...]

    @property
    def category(self) -> int:
        return self.logits.index(max(self.logits))

    @property
    def pair(self) -> Pair:
        return self.example.label, self.category

    @property
    def is_right(self) -> bool:
        return self.category == self.example.label

    def confidence(self, temperature: float, category: int | None = None) -> float:
        chosen = self.category if category is None else category
        odds = [math.exp((x - max(self.logits)) / temperature) for x in self.logits]
        return odds[chosen] / sum(odds)


def left_out(examples: Sequence[Example], near: Learned) -> list[Judged]:
    """Judge each source, and each file of our own, by weights learned from all the others.

    `near` is what was learned from all of them, where the search for those weights begins.
    """
    groups = sorted({example.group for example in examples})
    with ProcessPoolExecutor() as pool:
        parts = pool.map(partial(_without, examples=examples, near=near), groups)
        return [judged for part in parts for judged in part]


def _without(group: str, examples: Sequence[Example], near: Learned) -> list[Judged]:
    weights = Weights(fit([e for e in examples if e.group != group], near))
    return list(judged(weights, (e for e in examples if e.group == group)))


def judged(weights: Weights, examples: Iterable[Example]) -> Iterator[Judged]:
    for example in examples:
        logits = weights.logits(example.features, example.words, example.length)
        yield Judged(example, tuple(logits))


def temperature(found: Sequence[Judged]) -> float:
    """Return what the logits must be divided by for confidence to be honest.

    On foreign sources or on our own prompts, wherever the weights have less of a right to be sure:
    a router meets the prompts of strangers.
    """
    parts = ([j for j in found if j.example.is_own is own] for own in (False, True))
    return max(_honest(part) for part in parts if part)


def _honest(found: Sequence[Judged]) -> float:
    """Return the temperature at which confidence is, in the mean, how often it is right.

    The greatest likelihood would ask for another: a few labels that are plainly wrong make it so.
    """
    right = sum(j.is_right for j in found)

    def apart(by: float) -> float:
        return abs(sum(j.confidence(by) for j in found) - right)

    return min((step / 20 for step in range(10, 81)), key=apart)


def report(found: Sequence[Judged], by: float) -> Iterator[str]:
    """Yield lines of a table: figures over all, by language, by source, by confidence."""
    yield heading()
    yield row("all", [j.pair for j in found])
    for what, least in (("lang", 5), ("group", 1)):
        parts: defaultdict[str, list[Pair]] = defaultdict(list)
        for j in found:
            parts[j.example.line.lang if what == "lang" else j.example.group].append(j.pair)
        for name, part in sorted(parts.items()):
            if len(part) > least:
                yield row(name, part)
    yield "confidence   share of prompts   accuracy"
    for low, high in pairwise(BANDS):
        band = [j for j in found if low < j.confidence(by) <= high]
        if band:
            share, right = len(band) / len(found), sum(j.is_right for j in band) / len(band)
            yield f"{low:.1f} to {high:.1f}   {share:16.3f}   {right:8.3f}"


def heading() -> str:
    return f"{'':28}  prompts  accuracy  macro-F1  recall " + " / ".join(CATEGORIES)


def row(name: str, pairs: Sequence[Pair]) -> str:
    """Return a line with the scores of labels and what was decided."""
    counts = Counter(pairs)
    classes = range(len(CATEGORIES))
    scores, recalls = [], []
    for k in classes:
        true = sum(counts[k, other] for other in classes)
        said = sum(counts[other, k] for other in classes)
        recalls.append(f"{counts[k, k] / true:.2f}" if true else "  - ")
        if true:
            scores.append(2 * counts[k, k] / (true + said))
    right = sum(counts[k, k] for k in classes) / len(pairs)
    macro = sum(scores) / len(scores)
    return f"{name:28}  {len(pairs):7}  {right:8.3f}  {macro:8.3f}  {' / '.join(recalls)}"


def confusion(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield a line a label: how often each category was decided."""
    counts = Counter(pairs)
    for k, label in enumerate(CATEGORIES):
        decided = " / ".join(f"{counts[k, other]:5}" for other in range(len(CATEGORIES)))
        yield f"    {label:24}  decided {decided}"
