"""What speaks for each category, summed up and in words, and the decision that follows."""

import math
from collections.abc import Iterable, Sequence

from llm_router.classify.base import Decision
from llm_router.classify.structure import SIGNS

# A second and a third word of the same group add less and less, further ones nothing.
_COUNTED = (0.0, 1.0, 1.5, 1.75)
_SHOWN = 4


class Evidence:
    """Collects for the categories of `start`, which says what each of them begins with."""

    __slots__ = ("_reasons", "_scores")

    def __init__(self, start: dict[str, float]) -> None:
        self._scores = start.copy()
        self._reasons: dict[str, list[str]] = {}

    def add(self, category: str, weight: float, found: list[str]) -> None:
        """Count the words and phrases of one group that were found."""
        if category in self._scores:
            distinct = 1 if len(found) == 1 else min(len(set(found)), 3)
            self._scores[category] += weight * _COUNTED[distinct]
            self._reasons.setdefault(category, []).extend(found[:_SHOWN])

    def add_form(self, text: str, lower: str, words: Sequence[str]) -> None:
        for category, signs in SIGNS.items():
            if category in self._scores:
                for name, weight in signs(text, lower, words):
                    self._scores[category] += weight
                    self._reasons.setdefault(category, []).append(f"form: {name}")

    def decision(self, fallback: str) -> Decision:
        """Weigh the sums against each other; `fallback` is what nothing at all speaks for."""
        scores = self._scores
        if not self._reasons:
            return Decision(fallback, "default", 1 / len(scores), "no keyword matched")
        category, confidence, others = ranked(scores)
        reasons = self._reasons.get(category)
        rule = rule_of("keywords", reasons) if reasons else "nothing speaks for another"
        return Decision(category, "keywords", confidence, rule, others)


def ranked(scores: dict[str, float]) -> tuple[str, float, tuple[tuple[str, float], ...]]:
    """Return the category with the best score, its share of the odds, and the others' shares."""
    names = sorted(scores, key=scores.__getitem__, reverse=True)
    best = scores[names[0]]
    odds = [math.exp(scores[name] - best) for name in names]
    # To the thousandth; `round` is exact about halves, which takes ten times as long.
    unit = 1000 / sum(odds)
    shares = [int(odd * unit + 0.5) / 1000 for odd in odds]
    return names[0], shares[0], tuple(zip(names[1:], shares[1:], strict=True))


def rule_of(step: str, reasons: Iterable[str]) -> str:
    """Name the first few reasons: signs of form as they are, words in quotes."""
    shown: list[str] = []
    for reason in reasons:
        said = reason if reason.startswith("form: ") else repr(reason)
        if said not in shown:
            shown.append(said)
            if len(shown) == _SHOWN:
                break
    return f"{step}: {', '.join(shown)}"
