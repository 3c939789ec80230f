"""How good decisions are against labels: scores, confusion, calibration, latency. Pure sums."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from llm_router.classify.base import Decision
from llm_router.classify.labelled import Labelled

# Fine where it matters: from 0.9 on it is decided whether to ask anybody else.
BANDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Result:
    """One prompt, what was decided, and how long that took."""

    given: Labelled
    decision: Decision
    ms: float

    @property
    def is_right(self) -> bool:
        return self.decision.category == self.given.label


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Shares from 0 to 1; `support` prompts have the label, `predicted` prompts got it."""

    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


@dataclass(frozen=True, slots=True)
class Band:
    """The prompts with a confidence above `low` (or at 0) and up to `high`."""

    low: float
    high: float
    prompts: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Part:
    """The prompts that share a language, a source or the step that decided."""

    prompts: int
    accuracy: float
    macro_f1: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`calibration_error` is the mean distance of confidence and accuracy over the bands, weighted
    by prompts (ECE); None when no decision had a confidence.
    """

    prompts: int
    accuracy: float
    macro_f1: float
    classes: Mapping[str, ClassScore]
    confusion: Mapping[str, Mapping[str, int]]  # label → category → prompts
    bands: Sequence[Band]
    calibration_error: float | None
    latency_ms: Mapping[str, float]
    decided_by: Mapping[str, Part]
    skipped: Mapping[str, int]
    languages: Mapping[str, Part]
    sources: Mapping[str, Part]

    def as_json(self) -> dict[str, Any]:
        return {
            "prompts": self.prompts,
            "accuracy": _share(self.accuracy),
            "macro_f1": _share(self.macro_f1),
            "classes": {
                name: {
                    "precision": _share(score.precision),
                    "recall": _share(score.recall),
                    "f1": _share(score.f1),
                    "support": score.support,
                    "predicted": score.predicted,
                    "share": _share(score.predicted / self.prompts),
                }
                for name, score in self.classes.items()
            },
            "confusion": self.confusion,
            "calibration": {
                "error": None if self.calibration_error is None else _share(self.calibration_error),
                "bands": [
                    {
                        "from": band.low,
                        "to": band.high,
                        "prompts": band.prompts,
                        "confidence": _share(band.confidence),
                        "accuracy": _share(band.accuracy),
                    }
                    for band in self.bands
                ],
            },
            "latency_ms": {name: round(ms, 4) for name, ms in self.latency_ms.items()},
            "decided_by": _parts(self.decided_by),
            "skipped": self.skipped,
            "by_lang": _parts(self.languages),
            "by_source": _parts(self.sources),
        }


def evaluate(results: Sequence[Result], labels: Sequence[str]) -> Evaluation:
    """Sum up at least one result; `labels` are the categories, in the order they are shown."""
    confusion = {label: dict.fromkeys(labels, 0) for label in labels}
    for result in results:
        confusion[result.given.label][result.decision.category] += 1
    bands = _bands([r for r in results if r.decision.confidence is not None])
    skipped = Counter(reason for r in results for reason in r.decision.skipped)
    return Evaluation(
        prompts=len(results),
        accuracy=_accuracy(results),
        macro_f1=_macro_f1(results),
        classes={label: _class(results, label) for label in labels},
        confusion=confusion,
        bands=bands,
        calibration_error=_calibration_error(bands),
        latency_ms=_latency([r.ms for r in results]),
        decided_by=_divided((r.decision.by, r) for r in results),
        skipped=dict(skipped.most_common()),
        languages=_divided((r.given.lang, r) for r in results),
        sources=_divided((r.given.source, r) for r in results),
    )


def _class(results: Sequence[Result], label: str) -> ClassScore:
    support = sum(r.given.label == label for r in results)
    predicted = sum(r.decision.category == label for r in results)
    right = sum(r.is_right for r in results if r.given.label == label)
    precision = right / predicted if predicted else 0.0
    recall = right / support if support else 0.0
    f1 = 2 * right / (support + predicted) if support + predicted else 0.0
    return ClassScore(precision, recall, f1, support, predicted)


def _macro_f1(results: Sequence[Result]) -> float:
    """Return the mean F1 of the classes that occur; each counts alike, however rare."""
    present = {r.given.label for r in results}
    return sum(_class(results, label).f1 for label in present) / len(present)


def _accuracy(results: Sequence[Result]) -> float:
    return sum(r.is_right for r in results) / len(results)


def _bands(results: Sequence[Result]) -> list[Band]:
    bands = []
    for low, high in pairwise(BANDS):
        inside = [r for r in results if low < _confidence(r) <= high or low == _confidence(r) == 0]
        if inside:
            confidence = sum(map(_confidence, inside)) / len(inside)
            bands.append(Band(low, high, len(inside), confidence, _accuracy(inside)))
    return bands


def _confidence(result: Result) -> float:
    return result.decision.confidence or 0.0


def _calibration_error(bands: Sequence[Band]) -> float | None:
    prompts = sum(band.prompts for band in bands)
    if not prompts:
        return None
    return sum(band.prompts * abs(band.accuracy - band.confidence) for band in bands) / prompts


def _latency(times: Sequence[float]) -> dict[str, float]:
    """Return mean and percentiles, each the smallest time that so many did not exceed."""
    ranked = sorted(times)

    def rank(percent: float) -> float:
        return ranked[max(0, math.ceil(percent / 100 * len(ranked)) - 1)]

    return {
        "mean": sum(ranked) / len(ranked),
        **{f"p{percent}": rank(percent) for percent in (50, 90, 95, 99)},
        "max": ranked[-1],
    }


def _divided(named: Iterable[tuple[str | None, Result]]) -> dict[str, Part]:
    """Return what each name's results come to; nothing when no result has a name."""
    groups: dict[str, list[Result]] = {}
    for name, result in named:
        if name is not None:
            groups.setdefault(name, []).append(result)
    return {
        name: Part(len(group), _accuracy(group), _macro_f1(group))
        for name, group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    }


def _parts(parts: Mapping[str, Part]) -> dict[str, Any]:
    return {
        name: {
            "prompts": part.prompts,
            "accuracy": _share(part.accuracy),
            "macro_f1": _share(part.macro_f1),
        }
        for name, part in parts.items()
    }


def _share(value: float) -> float:
    return round(value, 4)
