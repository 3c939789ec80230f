"""Labelled prompts, and what the classifier sees of them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from llm_router.classify.features import features
from llm_router.classify.text import clip
from llm_router.classify.vocabulary import tokens
from llm_router.classify.weights import CATEGORIES
from llm_router.classify.words import builtin_words

OWN = Path(__file__).with_name("own.jsonl")
OWN_SOURCE = "written for this project"
# What a word must have been seen in: prompts, and kinds of prompts. Others are chance.
_LEAST_PROMPTS = 3
_LEAST_KINDS = 2
_LEAST_WITH_FEATURE = 3


class Line(msgspec.Struct):
    """One line of a file of prompts; whatever else stands in it is not read."""

    text: str
    label: str
    lang: str = ""
    source: str = OWN_SOURCE
    stratum: str = ""
    licence: str = "MIT"


@dataclass(frozen=True, slots=True)
class Example:
    line: Line
    features: tuple[str, ...]
    words: frozenset[str]

    @property
    def label(self) -> int:
        return CATEGORIES.index(self.line.label)

    @property
    def kind(self) -> tuple[str, ...]:
        return self.line.source, self.line.stratum, self.line.lang


def read(paths: Iterable[Path]) -> list[Example]:
    """Return the prompts of some files that have one of the learned labels."""
    lines = (line for path in paths for line in path.read_bytes().splitlines() if line.strip())
    decoded = (msgspec.json.decode(line, type=Line) for line in lines)
    return [_example(line) for line in decoded if line.label in CATEGORIES]


def _example(line: Line) -> Example:
    text = clip(line.text)
    lower = text.lower()
    words = tokens(lower)
    found = features(text, lower, words, builtin_words().hits(lower, words))
    return Example(line, tuple(found), frozenset(words))


def known_features(examples: Sequence[Example]) -> list[str]:
    counts = Counter(name for example in examples for name in example.features)
    return sorted(name for name, count in counts.items() if count >= _LEAST_WITH_FEATURE)


def known_words(examples: Sequence[Example]) -> list[str]:
    """Return the words that are worth a weight of their own."""
    counts: Counter[str] = Counter()
    kinds: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
    for example in examples:
        counts.update(example.words)
        for word in example.words:
            kinds[word].add(example.kind)
    return sorted(
        word
        for word, count in counts.items()
        if count >= _LEAST_PROMPTS and len(kinds[word]) >= _LEAST_KINDS and not word.isdigit()
    )
