"""What the weights are before anything is learned: those that were set by hand.

Examples only ever show part of what people ask; where they say little, the judgement of whoever
wrote the vocabulary holds.
"""

from collections.abc import Iterable

from llm_router.classify.structure import form_of
from llm_router.classify.vocabulary import tokens
from llm_router.classify.weights import CATEGORIES
from llm_router.classify.words import groups
from training.examples import Example

# A second and a third word of a group add less, as for the keywords.
_SHARES = (("", 1.0), (", two", 0.5), (", three", 0.25))


def prior(examples: Iterable[Example]) -> dict[str, list[float]]:
    """Return the weights by feature that the vocabulary and the signs of form have by hand."""
    found: dict[str, list[float]] = {}
    for group in groups():
        for ending, share in _SHARES:
            found[group.name + ending] = _centred(group.category, group.weight * share)
    for example in examples:
        text = example.line.text
        for sign in form_of(text, tokens(text.lower())).signs:
            found[sign.name] = _centred(sign.category, sign.weight)
    return found


def _centred(category: str, weight: float) -> list[float]:
    share = weight / len(CATEGORIES)
    return [weight - share if name == category else -share for name in CATEGORIES]
