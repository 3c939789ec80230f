"""Labelled prompts, and what the classifier sees of them."""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from llm_router.classify.features import features, length_of
from llm_router.classify.text import clip
from llm_router.classify.traces import traces
from llm_router.classify.vocabulary import composed, tokens
from llm_router.classify.weights import CATEGORIES, pairs_of
from llm_router.classify.words import builtin_words

OWN = Path(__file__).with_name("own")
OWN_SOURCE = "written for this project"
# What a word must have been seen in: prompts, and kinds of prompts. Others are chance.
_LEAST_PROMPTS = 3
_LEAST_KINDS = 2
_LEAST_WITH_FEATURE = 3
_LEAST_WITH_PAIR = 20


class Line(msgspec.Struct):
    """One line of a file of prompts; whatever else stands in it is not read."""

    text: str
    label: str
    lang: str = ""
    source: str = OWN_SOURCE
    stratum: str = ""
    licence: str = "MIT"
    file: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    line: Line
    length: int
    features: tuple[str, ...]
    pairs: tuple[str, ...]
    words: tuple[str, ...]
    traces: frozenset[str]  # of the words

    @property
    def is_own(self) -> bool:
        return self.line.source == OWN_SOURCE

    @property
    def group(self) -> str:
        """What is left out together: a source; of our own prompts a file."""
        return f"own: {self.line.file}" if self.is_own else self.line.source

    @property
    def label(self) -> int:
        return CATEGORIES.index(self.line.label)

    @property
    def kind(self) -> tuple[str, ...]:
        return self.line.source, self.line.stratum, self.line.lang


def read(paths: Iterable[Path]) -> list[Example]:
    """Return the prompts of some files that have one of the learned labels."""
    return [_example(line) for path in paths for line in _lines(path) if line.label in CATEGORIES]


def own() -> list[Example]:
    """Return the prompts that were written for this project."""
    return read(sorted(OWN.glob("*.jsonl")))


def _lines(path: Path) -> Iterator[Line]:
    for raw in path.read_bytes().splitlines():
        if raw.strip():
            line = msgspec.json.decode(raw, type=Line)
            line.file = path.stem
            yield line


def _example(line: Line) -> Example:
    text = composed(clip(line.text))
    lower = text.lower()
    words = tokens(lower)
    length = length_of(text, words)
    found = features(text, words, builtin_words().hits(lower, words), length)
    pairs = tuple(map(sys.intern, pairs_of(found)))  # some thousands, seen millions of times
    return Example(line, length, tuple(found), pairs, tuple(words), frozenset(traces(words)))


def known_features(examples: Iterable[Example]) -> list[str]:
    counts = Counter(name for example in examples for name in example.features)
    return sorted(name for name, count in counts.items() if count >= _LEAST_WITH_FEATURE)


def known_pairs(examples: Iterable[Example]) -> list[str]:
    counts = Counter(name for example in examples for name in example.pairs)
    return sorted(name for name, count in counts.items() if count >= _LEAST_WITH_PAIR)


def known_words(examples: Iterable[Example]) -> list[str]:
    """Return what is worth a weight of its own of all that is looked up of words."""
    counts: Counter[str] = Counter()
    kinds: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
    for example in examples:
        counts.update(example.traces)
        for word in example.traces:
            kinds[word].add(example.kind)
    return sorted(
        word
        for word, count in counts.items()
        if count >= _LEAST_PROMPTS and len(kinds[word]) >= _LEAST_KINDS and not word.isdigit()
    )
