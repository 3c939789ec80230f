"""The local classifier: weights that were learned, over words, form and shape. No I/O.

docs/routing.md says what it was trained on and how often it is right.
"""

from functools import cached_property

from llm_router.classify.base import By, Decision, Prompt
from llm_router.classify.evidence import ranked, rule_of
from llm_router.classify.features import NOTHING_KNOWN, length_of, shown
from llm_router.classify.own import Cached, Own
from llm_router.classify.reading import read
from llm_router.classify.reasons import Reasons, group_numbers
from llm_router.classify.vocabulary import Hits, composed, tokens
from llm_router.classify.weights import CATEGORIES, Weights, weights
from llm_router.classify.words import builtin_words
from llm_router.routing.config import RoutingConfig

_CONFIGURED = 2.0  # a keyword that a user added to a built-in category
_HINTED = (0.0, 1.8, 3.2, 4.0)  # words of a category's own name or description: so many, so much
# What the turn before counts for in a short message: in one that says nothing by itself, in one
# that begins as if it went on ("and in Rust?"), in any other.
_FOLLOW_UP_WORDS = 8
_GOING_ON = "goes on from before"
_SAYS_NOTHING, _GOES_ON, _STANDS_ALONE = 1.0, 0.6, 0.2


class Local:
    """Always answers; what it has no sign of at all is the default."""

    name: By = "local"

    def __init__(self, learned: Weights | None = None) -> None:
        self._given = learned
        self._own = Cached()

    @cached_property
    def _learned(self) -> Weights:
        return self._given or weights()

    @cached_property
    def _reasons(self) -> dict[str, Reasons]:
        return {name: Reasons(by) for name, by in self._learned.speaking.items()}

    def warm(self) -> None:
        self._said_before("")  # weighing nothing reads all that weighing takes

    def sees_all(self, config: RoutingConfig) -> bool:
        return not self._own.of(config).has_unseen

    def judge(self, prompt: Prompt, config: RoutingConfig) -> Decision:
        own = self._own.of(config)
        reading = read(prompt, own, self.name)
        if isinstance(reading, Decision):
            return reading
        text, lower, words = reading.text, reading.lower, reading.words
        hits = builtin_words().hits(lower, words)
        found, logits = self._weighed(text, words, hits)
        if prompt.context and len(words) <= _FOLLOW_UP_WORDS:
            share = self._context_share(hits)
            for place, logit in enumerate(self._said_before(prompt.context)):
                logits[place] += share * logit
        scores = dict(zip(CATEGORIES, logits, strict=True))
        if len(own.learned) < len(CATEGORIES):
            scores = {name: scores[name] for name in own.learned}
        _add_users_words(scores, own, reading.wanted, own.hinted(lower, words))
        knows_nothing = NOTHING_KNOWN in found and not self._learned.knows(words)
        if not scores or (knows_nothing and not prompt.context):
            return Decision(own.fallback, "default", None, "nothing known in it")
        return self._decision(scores, found, hits)

    def _context_share(self, hits: Hits) -> float:
        going_on = group_numbers()[_GOING_ON]
        if hits.keys() <= {going_on}:
            return _SAYS_NOTHING
        return _GOES_ON if going_on in hits else _STANDS_ALONE

    def _said_before(self, context: str) -> list[float]:
        context = composed(context)
        lower = context.lower()
        words = tokens(lower)
        return self._weighed(context, words, builtin_words().hits(lower, words))[1]

    def _weighed(self, text: str, words: list[str], hits: Hits) -> tuple[list[str], list[float]]:
        """Return what a text shows, and what that and its words come to."""
        length = length_of(text, words)
        found = shown(text, words, hits, length)
        return found, self._learned.logits(found, words, length)

    def _decision(self, scores: dict[str, float], found: list[str], hits: Hits) -> Decision:
        category, confidence, others = ranked(scores)
        rule = "local: its name and description"
        if category in CATEGORIES:
            rule = rule_of("local", self._reasons[category].of(found, hits))
        return Decision(category, "local", confidence, rule, others)


def _add_users_words(
    scores: dict[str, float], own: Own, wanted: Hits, hinted: dict[str, list[str]]
) -> None:
    for number, said in wanted.items():
        if own.owners[number] in scores:
            scores[own.owners[number]] += _CONFIGURED * len(set(said))
    for name, said in hinted.items():
        scores[name] = _HINTED[min(len(said), len(_HINTED) - 1)]
