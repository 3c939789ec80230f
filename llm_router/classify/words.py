"""The built-in vocabulary, read from data/words.txt, which says how it is written."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from msgspec import Struct

from llm_router.classify.vocabulary import Entry, Vocabulary

_FILE = Path(__file__).with_name("data") / "words.txt"
_HEADING = re.compile(
    r"\[(?P<name>[^\]]+)\] (?P<category>\w+) (?P<weight>[\d.]+)(?P<opening> opening)?"
)
_LANGUAGES = ("de ", "fr ", "es ", "zh ", "ru ", "pt ", "it ", "ja ", "ko ")
_CYRILLIC = re.compile("[\u0400-\u04ff]")
_UNACCENTED = 5  # letters from which on a word is told from others without its accents


class Group(Struct, frozen=True):
    """Words that speak for a category; those of an opening only where a text begins.

    `weight` is about how much one of them multiplies the odds, as a logarithm.
    """

    name: str
    category: str
    weight: float
    is_opening: bool
    entries: tuple[str, ...]


@cache
def groups() -> tuple[Group, ...]:
    """Return all groups, in the order of the file."""
    return tuple(_groups(_FILE.read_text(encoding="utf-8")))


@cache
def builtin_words() -> Vocabulary:
    """Put together once a process; it takes longer than all the rest of a start."""
    return Vocabulary(_entries(is_opening=False), _entries(is_opening=True))


def _entries(*, is_opening: bool) -> Iterable[Entry]:
    for number, group in enumerate(groups()):
        if group.is_opening == is_opening:
            for entry in group.entries:
                yield entry, number


def _groups(text: str) -> Iterator[Group]:
    heading: re.Match[str] | None = None
    entries: dict[str, None] = {}
    for line in (*text.splitlines(), "[end] none 0"):
        if line.startswith("["):
            if heading is not None:
                yield _group(heading, entries)
            heading, entries = _HEADING.fullmatch(line), {}
        elif line and not line.startswith("#"):
            listed = line[3:] if line.startswith(_LANGUAGES) else line
            for entry in map(str.strip, listed.split(",")):
                if entry:
                    entries[entry] = None
                    if not entry.isascii() and (bare := _unaccented(entry)):
                        entries[bare] = None


def _group(heading: re.Match[str], entries: dict[str, None]) -> Group:
    return Group(
        heading["name"],
        heading["category"],
        float(heading["weight"]),
        heading["opening"] is not None,
        tuple(entries),
    )


def _unaccented(entry: str) -> str:
    """Return an entry as people type it who leave accents out, nothing where that is no word."""
    if len(entry) < _UNACCENTED or _CYRILLIC.search(entry):
        return ""
    split = unicodedata.normalize("NFD", entry)
    bare = "".join([char for char in split if not unicodedata.combining(char)])
    return bare if bare.isascii() else ""
