"""Keywords, phrases and the form of the text: the cheapest step, without any I/O.

Each group of words and each sign of form adds its weight to one category; the sums make a
confidence. docs/routing.md says how often that is right. A keyword that a user gave a category of
their own decides at once.
"""

from llm_router.classify.base import By, Decision, Prompt
from llm_router.classify.evidence import Evidence
from llm_router.classify.own import Cached
from llm_router.classify.reading import read
from llm_router.classify.vocabulary import tokens
from llm_router.classify.words import builtin_words, groups
from llm_router.routing.config import FALLBACK, RoutingConfig

_HEAD_START = {FALLBACK: 0.3}
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
        start = {name: _HEAD_START.get(name, 0.0) for name in (*own.learned, *hinted)}
        if not start:
            return Decision(own.fallback, "default", None, "no keyword matched")
        evidence = Evidence(start)
        self._weigh(lower, words, evidence)
        for number, found in reading.wanted.items():
            evidence.add(own.owners[number], _CONFIGURED_WEIGHT, found)
        for name, found in hinted.items():
            evidence.add(name, _HINT_WEIGHT, found)
        evidence.add_form(reading.text, lower, words)
        if prompt.context and len(words) <= _FOLLOW_UP_WORDS:
            earlier = prompt.context.lower()
            self._weigh(earlier, tokens(earlier), evidence, _CONTEXT_SHARE)
        return evidence.decision(own.fallback)

    def _weigh(self, lower: str, words: list[str], evidence: Evidence, share: float = 1.0) -> None:
        table = groups()
        for number, found in builtin_words().hits(lower, words).items():
            group = table[number]
            evidence.add(group.category, group.weight * share, found)
