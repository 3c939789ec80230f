"""What speaks for each category, summed up and in words, and the decision that follows."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from math import exp
from operator import itemgetter

from llm_router.classify.base import Decision
from llm_router.classify.structure import form_of

# A second and a third word of the same group add less and less, further ones nothing.
_COUNTED = (0.0, 1.0, 1.5, 1.75)
_SHOWN = 4

Speaking = tuple[str, float]  # for which category, and how much

_score = itemgetter(1)


class Evidence:
    """Collects for the categories of `start`, which says what each of them begins with."""

    __slots__ = ("_found", "_scores")

    def __init__(self, start: dict[str, float]) -> None:
        self._scores = start.copy()
        # What spoke for which category: words of one group, or a sign of form.
        self._found: list[tuple[str, list[str] | str]] = []

    def add(self, hits: Mapping[int, list[str]], speaking: Sequence[Speaking]) -> None:
        """Count words and phrases by the number of what they belong to."""
        scores, said = self._scores, self._found
        for number, found in hits.items():
            category, weight = speaking[number]
            if category in scores:
                if len(found) > 1:
                    weight *= _COUNTED[min(len(set(found)), 3)]
                scores[category] += weight
                said.append((category, found))

    def add_form(self, text: str, words: Collection[str]) -> None:
        scores, said = self._scores, self._found
        for sign in form_of(text, words).signs:
            category = sign.category
            if category in scores:
                scores[category] += sign.weight
                said.append((category, sign.reason))

    def decision(self, fallback: str) -> Decision:
        """Weigh the sums against each other; `fallback` is what nothing at all speaks for."""
        if not self._found:
            return Decision(fallback, "default", 1 / len(self._scores), "no keyword matched")
        category, confidence, others = ranked(self._scores)
        return Decision(category, "keywords", confidence, self._rule(category), others)

    def _rule(self, category: str) -> str:
        """Name the first few reasons, each once; words are given in quotes."""
        reasons: dict[str, None] = {}
        for whose, found in self._found:
            if whose == category:
                if isinstance(found, str):
                    reasons[found] = None
                else:
                    for word in found[:_SHOWN]:
                        reasons[repr(word)] = None
                if len(reasons) >= _SHOWN:
                    break
        if not reasons:
            return "nothing speaks for another"
        return f"keywords: {', '.join(islice(reasons, _SHOWN))}"


def ranked(scores: dict[str, float]) -> tuple[str, float, tuple[tuple[str, float], ...]]:
    """Return the category with the best score, its share of the odds, and the others' shares."""
    (first, best), *others = sorted(scores.items(), key=_score, reverse=True)
    total, odds = 1.0, []
    for name, score in others:
        odd = exp(score - best)
        total += odd
        odds.append((name, odd))
    # To the thousandth; `round` is exact about halves, which takes ten times as long.
    unit = 1000 / total
    shares = []
    for name, odd in odds:
        shares.append((name, (odd * unit + 0.5) // 1 / 1000))
    return first, (unit + 0.5) // 1 / 1000, tuple(shares)


def rule_of(step: str, reasons: Iterable[str]) -> str:
    """Name the first few reasons, each once; words are given in quotes."""
    shown: dict[str, None] = {}
    for reason in reasons:
        shown[reason] = None
        if len(shown) == _SHOWN:
            break
    return f"{step}: {', '.join(shown)}"
