"""Keywords, phrases and the form of the text: the cheapest step, without any I/O.

Each group of words and each sign of form adds its weight to one category; the sums make a
confidence. docs/routing.md says how often that is right. A keyword that a user gave a category of
their own decides at once.
"""

from functools import cache

from llm_router.classify.base import By, Decision, Prompt
from llm_router.classify.evidence import Evidence, Speaking
from llm_router.classify.own import Cached
from llm_router.classify.reading import read
from llm_router.classify.vocabulary import composed, tokens
from llm_router.classify.words import builtin_words, groups
from llm_router.routing.config import FALLBACK, RoutingConfig

_HEAD_START = 0.3  # of the fallback
_CONFIGURED_WEIGHT = 2.0  # a keyword that a user added to a built-in category
_HINT_WEIGHT = 1.6  # words of a category's own name or description
_FOLLOW_UP_WORDS = 8
_CONTEXT_SHARE = 0.5


class Keywords:
    """Always answers. Needs no training: the weights are those of data/words.txt."""

    name: By = "keywords"

    def __init__(self) -> None:
        self._own = Cached()

    def warm(self) -> None:
        builtin_words()

    def sees_all(self, config: RoutingConfig) -> bool:
        return not self._own.of(config).has_unseen

    def judge(self, prompt: Prompt, config: RoutingConfig) -> Decision:
        own = self._own.of(config)
        reading = read(prompt, own, self.name)
        if isinstance(reading, Decision):
            return reading
        lower, words = reading.lower, reading.words
        hinted = own.hinted(lower, words)
        start = dict.fromkeys((*own.learned, *hinted), 0.0)
        if not start:
            return Decision(own.fallback, "default", None, "no keyword matched")
        if FALLBACK in start:
            start[FALLBACK] = _HEAD_START
        evidence = Evidence(start)
        vocabulary = builtin_words()
        evidence.add(vocabulary.hits(lower, words), _speaking())
        if reading.wanted:
            evidence.add(reading.wanted, [(name, _CONFIGURED_WEIGHT) for name in own.owners])
        for name, found in hinted.items():
            evidence.add({0: found}, [(name, _HINT_WEIGHT)])
        evidence.add_form(reading.text, words)
        if prompt.context and len(words) <= _FOLLOW_UP_WORDS:
            earlier = composed(prompt.context).lower()
            hits = vocabulary.hits(earlier, tokens(earlier))
            evidence.add(hits, _speaking_before())
        return evidence.decision(own.fallback)


@cache
def _speaking() -> tuple[Speaking, ...]:
    """Return what the words of each group speak for."""
    return tuple((group.category, group.weight) for group in groups())


@cache
def _speaking_before() -> tuple[Speaking, ...]:
    """Return the same for the words of the turn before."""
    return tuple((category, weight * _CONTEXT_SHARE) for category, weight in _speaking())
