"""Keywords, phrases and the form of the text: the cheapest step, without any I/O.

Each group of words and each sign of form adds its weight to one category; the sums make a
confidence. On 4,260 labelled prompts from twelve public sources, some of which the words were
chosen by, it is right on 85 % (macro-F1 0.85), and its confidence means about what it says: below
0.7 it is right on 60 %, from there to 0.9 on 87 %, above on 95 %. A keyword that a user gave a
category of their own decides at once.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from llm_router.classify.base import Decision, Prompt
from llm_router.classify.structure import SIGNS
from llm_router.classify.text import clip
from llm_router.classify.vocabulary import Entry, Hits, Vocabulary, inflections, tokens
from llm_router.classify.words import GROUPS
from llm_router.routing.config import FALLBACK, RoutingConfig

# A second and a third word of the same group add less and less, further ones nothing.
_COUNTED = (0.0, 1.0, 1.5, 1.75)
_HEAD_START = {FALLBACK: 0.3}
_CONFIGURED_WEIGHT = 2.0  # a keyword that a user added to a built-in category
_FOLLOW_UP_WORDS = 8
_CONTEXT_SHARE = 0.5
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class _Compiled:
    """What one configuration makes of the tables; `owners` are the categories of `keywords`."""

    config: RoutingConfig
    builtin: tuple[str, ...]
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
        self._words = Vocabulary(_entries("anywhere"), _entries("opening"))
        self._compiled: _Compiled | None = None

    def judge(self, prompt: Prompt, config: RoutingConfig) -> Decision:
        compiled = self._compiled
        if compiled is None or compiled.config is not config:
            compiled = self._compiled = _compile(config)
        fallback = fallback_of(config)
        if prompt.chore:
            return Decision(fallback, "keywords", 1.0, prompt.chore)
        text = clip(prompt.text)
        if not text.strip():
            return Decision(fallback, "default", None, "no text")
        words = tokens(text)
        wanted = compiled.keywords.hits(text, words) if compiled.owners else {}
        if own := _own_category(compiled, wanted):
            return own
        if not compiled.builtin:
            return Decision(fallback, "default", None, "no keyword matched")
        return self._weigh(prompt, compiled, text, words, wanted)

    def sees_all(self, config: RoutingConfig) -> bool:
        """Whether every category has keywords, so that a confident answer leaves none out."""
        compiled = self._compiled
        return compiled is not None and compiled.config is config and not compiled.has_unseen

    def _weigh(
        self, prompt: Prompt, compiled: _Compiled, text: str, words: list[str], wanted: Hits
    ) -> Decision:
        scores = {name: _HEAD_START.get(name, 0.0) for name in compiled.builtin}
        reasons: dict[str, list[str]] = {name: [] for name in compiled.builtin}
        for number, found in self._words.hits(text, words).items():
            _add(scores, reasons, GROUPS[number].category, GROUPS[number].weight, found)
        for number, found in wanted.items():
            _add(scores, reasons, compiled.owners[number], _CONFIGURED_WEIGHT, found)
        for sign in SIGNS:
            if sign.category in scores and sign.holds(text, words):
                scores[sign.category] += sign.weight
                reasons[sign.category].append(f"form: {sign.name}")
        if prompt.context and len(words) <= _FOLLOW_UP_WORDS:
            earlier = self._words.hits(prompt.context, tokens(prompt.context))
            for number, found in earlier.items():
                group = GROUPS[number]
                _add(scores, reasons, group.category, group.weight * _CONTEXT_SHARE, found)
        return _decide(scores, reasons, compiled)


def _entries(where: str) -> Iterable[Entry]:
    for number, group in enumerate(GROUPS):
        if group.where == where:
            for entry in group.words.split(","):
                yield entry, number


def _compile(config: RoutingConfig) -> _Compiled:
    labels = labels_of(config)
    owners = tuple(name for name in labels if config.categories[name].keywords)
    entries: list[Entry] = []
    for number, name in enumerate(owners):
        for keyword in config.categories[name].keywords:
            words = tokens(keyword)
            forms = map(" ".join, inflections(words)) if words else (keyword,)
            entries += ((form, number) for form in forms)
    known = {group.category for group in GROUPS}
    return _Compiled(
        config,
        tuple(name for name in labels if name in known),
        owners,
        Vocabulary(entries),
        any(name not in known and name not in owners for name in labels),
    )


def _own_category(compiled: _Compiled, wanted: Hits) -> Decision | None:
    """Let a user's own category win by its keywords: the most, then the longest."""
    found = {
        compiled.owners[number]: sorted(set(words), key=len, reverse=True)
        for number, words in wanted.items()
        if compiled.owners[number] not in compiled.builtin
    }
    if not found:
        return None
    ranked = sorted(found, key=lambda name: (-len(found[name]), -len("".join(found[name]))))
    confidence = 1 - 0.1 * 0.5 ** (len(found[ranked[0]]) - 1)
    others = tuple((name, round(1 - confidence, 3)) for name in ranked[1:])
    return Decision(ranked[0], "keywords", confidence, _words(found[ranked[0]]), others)


def _add(
    scores: dict[str, float],
    reasons: dict[str, list[str]],
    category: str,
    weight: float,
    found: list[str],
) -> None:
    if category in scores:
        distinct = set(found) if len(found) > 1 else found
        scores[category] += weight * _COUNTED[min(len(distinct), 3)]
        reasons[category] += found[:_SHOWN]


def _decide(
    scores: dict[str, float], reasons: dict[str, list[str]], compiled: _Compiled
) -> Decision:
    if not any(reasons.values()):
        confidence = 1 / len(scores)
        fallback = fallback_of(compiled.config)
        return Decision(fallback, "default", confidence, "no keyword matched")
    best = max(scores.values())
    odds = {name: math.exp(score - best) for name, score in scores.items()}
    total = sum(odds.values())
    (category, odd), *others = sorted(odds.items(), key=lambda item: -item[1])
    runners_up = tuple((name, round(other / total, 3)) for name, other in others)
    rule = _words(reasons[category]) if reasons[category] else "nothing speaks for another"
    return Decision(category, "keywords", round(odd / total, 3), rule, runners_up)


def _words(found: list[str]) -> str:
    shown = list(dict.fromkeys(found))[:_SHOWN]
    quoted = [word if word.startswith("form: ") else repr(word) for word in shown]
    return "keywords: " + ", ".join(quoted)
