"""What the local classifier sees of a text: names of features, each present or not.

Groups of the vocabulary (how many of their words were found), the signs of form, and the shape:
length, numbers, how it begins and ends. The words themselves are looked up beside these.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache

from llm_router.classify.structure import form_of
from llm_router.classify.vocabulary import Hits
from llm_router.classify.words import groups

# Only how short a text is says something: a long one may be anything.
_LENGTHS = (2, 3, 5)
_LINES = (1, 5, 20)
NOTHING_KNOWN = "no known word and no sign"
_COUNTED = 3  # further words of a group add nothing

# A run of these counts as one word for every two characters.
_unspaced = re.compile("[\u3040-\u30ff\u3400-\u9fff]").findall

_SPELLED = (
    "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty"
    " hundred thousand deux trois quatre cinq sept huit neuf dix douze quinze vingt trente cent"
    " mille dos tres cuatro cinco seis siete ocho nueve diez doce veinte treinta cien mil zwei drei"
    " vier fünf sechs sieben acht neun zehn zwölf zwanzig dreißig hundert tausend"
)
_NUMBER_WORDS = frozenset(_SPELLED.split())


def length_of(text: str, words: Sequence[str]) -> int:
    """Return how many words a text has, or would have in a script with spaces."""
    return len(words) if text.isascii() else len(words) + len(_unspaced(text)) // 2


def features(text: str, lower: str, words: Sequence[str], hits: Hits, length: int) -> list[str]:
    """Return the names of what a clipped text shows; `hits` are those of the vocabulary."""
    found: list[str] = []
    names = _group_names()
    for number, entries in hits.items():
        count = 1 if len(entries) == 1 else min(len(set(entries)), _COUNTED)
        found += names[number][count]
    form = form_of(text, words)
    found += [sign.name for sign in form.signs]
    if not found:
        found.append(NOTHING_KNOWN)
    found += _shape(text, words, length, form.numbers)
    if not hits:
        found.append("no known word")
    if _how_many() in hits and not form.numbers:
        found.append("how many, without a number")
    return found


def _shape(text: str, words: Sequence[str], length: int, numbers: int) -> Iterator[str]:
    stripped = text.strip()
    yield from _up_to("words", _LENGTHS, length)
    if numbers * 10 > length:
        yield "many numbers for its length"
    spelled = len(_NUMBER_WORDS.intersection(words))
    if spelled:
        yield "a number in words"
        if spelled > 1:
            yield "numbers in words"
    last = stripped[-1:]
    if "?" in text or "\uff1f" in text:
        yield "asks"
        if numbers > 1:
            yield "asks with numbers"
        if last not in "?\uff1f":
            yield "asks, then goes on"
    if last.isalnum():
        yield "no mark at its end"
    if "\n" in stripped:
        yield from _up_to("lines", _LINES, stripped.count("\n"))
    if stripped[:1].islower():
        yield "begins in lower case"
    if '"' in text or "\u201c" in text or "\u00ab" in text:
        yield "a quotation"


def _up_to(what: str, steps: tuple[int, ...], amount: int) -> tuple[str, ...]:
    names = _step_names(what, steps)
    reached = 0
    for step in steps:
        if amount < step:
            break
        reached += 1
    return names[:reached]


@cache
def _step_names(what: str, steps: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"{what} >= {step}" for step in steps)


@cache
def _how_many() -> int:
    return next(number for number, group in enumerate(groups()) if group.name == "how many")


@cache
def _group_names() -> tuple[tuple[tuple[str, ...], ...], ...]:
    """Return, by group and number of words found, the names of the features."""
    return tuple(
        tuple(
            (group.name, f"{group.name}, two", f"{group.name}, three")[:count]
            for count in range(_COUNTED + 1)
        )
        for group in groups()
    )
