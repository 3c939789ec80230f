"""The categories of one configuration: its labels, and what its users say theirs are about.

A keyword of a category that users made decides at once. The words of its name and description are
hints, weighed against what speaks for others. Both count from the moment they are added.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from llm_router.classify.base import Decision
from llm_router.classify.evidence import rule_of
from llm_router.classify.labels import labels_of
from llm_router.classify.vocabulary import Entry, Hits, Vocabulary, composed, inflections, tokens
from llm_router.routing.config import FALLBACK, Category, RoutingConfig

LEARNED = ("code", "reasoning", "conversation")
_STEM = 5
# Small words that join others in Chinese: what stands between them is looked for.
_joined = re.compile("[和与及或的了是在]").split
_LONG = 7
_ENDINGS = ("ions", "ion", "ings", "ing", "ies", "ers", "or", "er", "ed", "en", "s", "y", "e")
_has_vowel = re.compile("[aeiou]").search
_NO_VERBS = frozenset(("even", "morn"))
# Words that say nothing about what a category is for.
_SAYS_NOTHING = (
    "a an the and or of for to in on at by with from about into is are be as it its this that these"
    " those any all other others not no only more most such who what which how when where why do"
    " does use uses used using user users question questions request requests prompt prompts"
    " message messages task tasks topic topics category everything anything something related"
    " general ask asks asking asked help helps write writes writing written make makes get give"
    " answer answers text texts kind kinds thing things my our your their his her we you they i me"
    " der die das und oder von für zu im mit über aus den dem des ein eine einer fragen frage"
    " anfragen alles le la les un une du de et ou pour sur avec dans aux au demandes tout texte"
    " textes el los las unos unas y o para sobre con en por del al preguntas pregunta todo texto"
    " textos"
)
_EMPTY = frozenset(_SAYS_NOTHING.split())


class Own(Struct, frozen=True):
    """What one configuration makes of its categories.

    `learned` are those that the built-in vocabulary knows; `keywords` and `hints` number the
    names in `owners`. `has_unseen`: some category can be told by a language model only.
    """

    config: RoutingConfig
    fallback: str
    learned: tuple[str, ...]
    owners: tuple[str, ...]
    keywords: Vocabulary
    hints: Vocabulary
    has_keywords: bool
    has_hints: bool
    has_unseen: bool

    def wanted(self, lower: str, words: list[str]) -> Hits:
        """Return the keywords of users that a text has."""
        return self.keywords.hits(lower, words) if self.has_keywords else {}

    def hinted(self, lower: str, words: list[str]) -> dict[str, list[str]]:
        """Return, by category of a user's own, the words of its name or description."""
        if not self.has_hints:
            return {}
        found = self.hints.hits(lower, words)
        return {self.owners[number]: sorted(set(said)) for number, said in found.items()}

    def decided(self, wanted: Hits) -> Decision | None:
        """Let a user's own category win by its keywords: the most, then the longest."""
        found = {
            self.owners[number]: sorted(set(words), key=len, reverse=True)
            for number, words in wanted.items()
            if self.owners[number] not in self.learned
        }
        if not found:
            return None
        ranked = sorted(found, key=lambda name: (-len(found[name]), -len("".join(found[name]))))
        confidence = 1 - 0.1 * 0.5 ** (len(found[ranked[0]]) - 1)
        others = tuple((name, round(1 - confidence, 3)) for name in ranked[1:])
        rule = rule_of("keywords", map(repr, found[ranked[0]]))
        return Decision(ranked[0], "keywords", confidence, rule, others)


class Cached:
    """Keeps what was made of the configuration seen last; a new one comes rarely."""

    def __init__(self) -> None:
        self._own: Own | None = None

    def of(self, config: RoutingConfig) -> Own:
        own = self._own
        if own is None or own.config is not config:
            own = self._own = compiled(config)
        return own


def fallback_of(config: RoutingConfig) -> str:
    """Return the category for what fits nothing, always one that exists if any does."""
    if FALLBACK in config.categories:
        return FALLBACK
    return next(iter(labels_of(config) or config.categories), FALLBACK)


def compiled(config: RoutingConfig) -> Own:
    labels = labels_of(config)
    keywords: list[Entry] = []
    hints: list[Entry] = []
    for number, name in enumerate(labels):
        category = config.categories[name]
        keywords += ((form, number) for form in _keyword_forms(category))
        if name not in LEARNED:
            hints += ((form, number) for form in _hint_forms(category))
    return Own(
        config=config,
        fallback=fallback_of(config),
        learned=tuple(name for name in labels if name in LEARNED),
        owners=labels,
        keywords=Vocabulary(keywords),
        hints=Vocabulary(hints),
        has_keywords=bool(keywords),
        has_hints=bool(hints),
        has_unseen=any(
            name not in LEARNED and not config.categories[name].keywords for name in labels
        ),
    )


def _keyword_forms(category: Category) -> Iterator[str]:
    for keyword in category.keywords:
        words = tokens(composed(keyword).lower())
        yield from map(" ".join, inflections(words)) if words else (keyword.strip(),)


def _hint_forms(category: Category) -> Iterator[str]:
    description = composed(category.description)
    said = tokens(f"{category.name.replace('_', ' ')} {description}".lower())
    for word in dict.fromkeys(part for run in said for part in _joined(run) if part):
        if word in _EMPTY or word.isdigit() or (word.isascii() and len(word) < 3):
            continue
        for form in (word, *_verbs(word)):
            yield from map(" ".join, inflections([form]))
        if (stem := _stem(word)) is not None:
            yield f"{stem}*"


def _verbs(word: str) -> Iterator[str]:
    """Yield what an English gerund may come from: `baking` from `bak` or `bake`."""
    base = word.removesuffix("ing")
    if base != word and len(base) > 2 and _has_vowel(base) and base not in _NO_VERBS:
        yield base
        yield f"{base}e"
        if base[-1] == base[-2:-1]:
            yield base[:-1]  # `planning`


def _stem(word: str) -> str | None:
    """Return what a long word shares with its kin: `translat` of `translations`."""
    if len(word) < _LONG:
        return None
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) > _STEM:
            return word.removesuffix(ending)
    return word
