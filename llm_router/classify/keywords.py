"""Keywords, phrases and the form of the text: the cheapest step, without any I/O.

Each group of words and each sign of form adds its weight to one category; the sums make a
confidence. On 4,260 labelled prompts from twelve public sources, some of which the words were
chosen by, it is right on 85 % (macro-F1 0.85), and its confidence means about what it says: below
0.7 it is right on 60 %, from there to 0.9 on 87 %, above on 95 %. A keyword that a user gave a
category of their own decides at once.
"""

from collections.abc import Iterable
from functools import cache

from msgspec import Struct

from llm_router.classify.base import Decision, Prompt
from llm_router.classify.evidence import Evidence, rule_of
from llm_router.classify.text import clip
from llm_router.classify.vocabulary import Entry, Hits, Vocabulary, inflections, tokens
from llm_router.classify.words import GROUPS
from llm_router.routing.config import FALLBACK, RoutingConfig

_HEAD_START = {FALLBACK: 0.3}
_CONFIGURED_WEIGHT = 2.0  # a keyword that a user added to a built-in category
_FOLLOW_UP_WORDS = 8
_CONTEXT_SHARE = 0.5

_WEIGHTS = [(group.category, group.weight) for group in GROUPS]


class _Compiled(Struct, frozen=True):
    """What one configuration makes of the tables.

    `start` holds its built-in categories and what they begin with, `owners` those that have
    `keywords` of a user's.
    """

    config: RoutingConfig
    fallback: str
    start: dict[str, float]
    owners: tuple[str, ...]
    keywords: Vocabulary
    has_unseen: bool


def labels_of(config: RoutingConfig) -> tuple[str, ...]:
    """Return the categories a text may get. Tools are seen in the request, not in its text."""
    return tuple(name for name in config.categories if name != "tools")


def fallback_of(config: RoutingConfig) -> str:
    """Return the category for what fits nothing, always one that exists if any does."""
    if FALLBACK in config.categories:
        return FALLBACK
    return next(iter(labels_of(config) or config.categories), FALLBACK)


class Keywords:
    """Always answers. Compiles a configuration's keywords once, when it first sees it."""

    def __init__(self) -> None:
        self._words = _builtin_words()
        self._compiled: _Compiled | None = None

    def judge(self, prompt: Prompt, config: RoutingConfig) -> Decision:
        compiled = self._compiled
        if compiled is None or compiled.config is not config:
            compiled = self._compiled = _compile(config)
        if prompt.chore:
            return Decision(compiled.fallback, "keywords", 1.0, prompt.chore)
        text = clip(prompt.text)
        if not text or text.isspace():
            return Decision(compiled.fallback, "default", None, "no text")
        lower = text.lower()
        words = tokens(lower)
        wanted = compiled.keywords.hits(lower, words) if compiled.owners else {}
        if wanted and (own := _own_category(compiled, wanted)):
            return own
        if not compiled.start:
            return Decision(compiled.fallback, "default", None, "no keyword matched")
        evidence = Evidence(compiled.start)
        self._weigh(lower, words, evidence)
        for number, found in wanted.items():
            evidence.add(compiled.owners[number], _CONFIGURED_WEIGHT, found)
        evidence.add_form(text, lower, words)
        if prompt.context and len(words) <= _FOLLOW_UP_WORDS:
            earlier = prompt.context.lower()
            self._weigh(earlier, tokens(earlier), evidence, _CONTEXT_SHARE)
        return evidence.decision(compiled.fallback)

    def sees_all(self, config: RoutingConfig) -> bool:
        """Whether every category has keywords, so that a confident answer leaves none out."""
        compiled = self._compiled
        return compiled is not None and compiled.config is config and not compiled.has_unseen

    def _weigh(self, lower: str, words: list[str], evidence: Evidence, share: float = 1.0) -> None:
        for number, found in self._words.hits(lower, words).items():
            category, weight = _WEIGHTS[number]
            evidence.add(category, weight * share, found)


@cache
def _builtin_words() -> Vocabulary:
    """Put together once a process; it takes longer than all the rest of a start."""
    return Vocabulary(_entries("anywhere"), _entries("opening"))


def _entries(where: str) -> Iterable[Entry]:
    for number, group in enumerate(GROUPS):
        if group.where == where:
            for entry in group.words.split(","):
                yield entry.strip(), number


def _compile(config: RoutingConfig) -> _Compiled:
    labels = labels_of(config)
    owners = tuple(name for name in labels if config.categories[name].keywords)
    entries: list[Entry] = []
    for number, name in enumerate(owners):
        for keyword in config.categories[name].keywords:
            words = tokens(keyword.lower())
            forms = map(" ".join, inflections(words)) if words else (keyword.strip(),)
            entries += ((form, number) for form in forms)
    known = {group.category for group in GROUPS}
    return _Compiled(
        config,
        fallback_of(config),
        {name: _HEAD_START.get(name, 0.0) for name in labels if name in known},
        owners,
        Vocabulary(entries),
        any(name not in known and name not in owners for name in labels),
    )


def _own_category(compiled: _Compiled, wanted: Hits) -> Decision | None:
    """Let a user's own category win by its keywords: the most, then the longest."""
    found = {
        compiled.owners[number]: sorted(set(words), key=len, reverse=True)
        for number, words in wanted.items()
        if compiled.owners[number] not in compiled.start
    }
    if not found:
        return None
    ranked = sorted(found, key=lambda name: (-len(found[name]), -len("".join(found[name]))))
    confidence = 1 - 0.1 * 0.5 ** (len(found[ranked[0]]) - 1)
    others = tuple((name, round(1 - confidence, 3)) for name in ranked[1:])
    rule = rule_of(found[ranked[0]])
    return Decision(ranked[0], "keywords", confidence, rule, others)
