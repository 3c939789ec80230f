"""How right the classifier is on sources it has not learned from, and how sure it should be."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

from llm_router.classify.weights import CATEGORIES, Weights
from training.examples import Example
from training.fit import fit, weights_of

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
    def is_right(self) -> bool:
        return self.category == self.example.label

    def confidence(self, temperature: float, category: int | None = None) -> float:
        chosen = self.category if category is None else category
        odds = [math.exp((x - max(self.logits)) / temperature) for x in self.logits]
        return odds[chosen] / sum(odds)


def left_out(examples: Sequence[Example], always: Sequence[Example]) -> list[Judged]:
    """Judge each source of `examples` by weights learned from all the others and `always`."""
    sources = sorted({example.line.source for example in examples})
    with ProcessPoolExecutor() as pool:
        parts = pool.map(_without, sources, [(*examples, *always)] * len(sources))
        return [judged for part in parts for judged in part]


def _without(source: str, examples: Sequence[Example]) -> list[Judged]:
    weights = Weights(fit([e for e in examples if e.line.source != source]))
    return list(judged(weights, (e for e in examples if e.line.source == source)))


def judged(weights: Weights, examples: Iterable[Example]) -> Iterator[Judged]:
    for example in examples:
        logits = weights.logits(example.features, example.words)
        yield Judged(example, tuple(logits))


def temperature(found: Sequence[Judged]) -> float:
    """Return what the logits must be divided by for the likelihood to be greatest."""

    counts = weights_of([j.example for j in found])

    def surprise(by: float) -> float:
        return -sum(
            count * math.log(max(j.confidence(by, j.example.label), 1e-12))
            for j, count in zip(found, counts, strict=True)
        )

    return min((step / 20 for step in range(10, 81)), key=surprise)


def report(found: Sequence[Judged], by: float) -> Iterator[str]:
    """Yield lines of a table: figures over all, by language, by source, by confidence."""
    yield f"{'':28}  prompts  accuracy  macro-F1  recall " + " / ".join(CATEGORIES)
    yield _row("all", found)
    for what, of in (("lang", 5), ("source", 1)):
        parts: defaultdict[str, list[Judged]] = defaultdict(list)
        for j in found:
            parts[getattr(j.example.line, what)].append(j)
        for name, part in sorted(parts.items()):
            if len(part) > of:
                yield _row(name, part)
    yield "confidence   share of prompts   accuracy"
    for low, high in pairwise(BANDS):
        band = [j for j in found if low < j.confidence(by) <= high]
        if band:
            share, right = len(band) / len(found), sum(j.is_right for j in band) / len(band)
            yield f"{low:.1f} to {high:.1f}   {share:16.3f}   {right:8.3f}"


def _row(name: str, found: Sequence[Judged]) -> str:
    scores, recalls = [], []
    for k in range(len(CATEGORIES)):
        true = sum(j.example.label == k for j in found)
        said = sum(j.category == k for j in found)
        both = sum(j.category == k == j.example.label for j in found)
        recalls.append(f"{both / true:.2f}" if true else "  - ")
        if true:
            scores.append(2 * both / (true + said))
    right = sum(j.is_right for j in found) / len(found)
    macro = sum(scores) / len(scores)
    return f"{name:28}  {len(found):7}  {right:8.3f}  {macro:8.3f}  {' / '.join(recalls)}"
