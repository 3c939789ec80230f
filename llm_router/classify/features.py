"""What the local classifier sees of a text: names of features, each present or not.

Groups of the vocabulary (how many of their words were found), the signs of form, and the shape:
length, numbers, how it begins and ends. The words themselves are looked up beside these.
"""

import re
from collections.abc import Sequence
from functools import cache

from llm_router.classify.structure import form_of
from llm_router.classify.vocabulary import Hits
from llm_router.classify.words import groups

# How many words and further lines there are at least. Only how short a text is says something: a
# long one may be anything.
_LENGTHS = ((2, "words >= 2"), (3, "words >= 3"), (5, "words >= 5"))
_LINES = ((1, "lines >= 1"), (5, "lines >= 5"), (20, "lines >= 20"))
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
    _add_shape(text, words, length, form.numbers, found)
    if not hits:
        found.append("no known word")
    if _how_many() in hits and not form.numbers:
        found.append("how many, without a number")
    return found


def _add_shape(
    text: str, words: Sequence[str], length: int, numbers: int, found: list[str]
) -> None:
    stripped = text.strip()
    _add_reached(_LENGTHS, length, found)
    if numbers * 10 > length:
        found.append("many numbers for its length")
    if spelled := _NUMBER_WORDS.intersection(words):
        found.append("a number in words")
        if len(spelled) > 1:
            found.append("numbers in words")
    last = stripped[-1:]
    if "?" in text or "\uff1f" in text:
        found.append("asks")
        if numbers > 1:
            found.append("asks with numbers")
        if last not in "?\uff1f":
            found.append("asks, then goes on")
    if last.isalnum():
        found.append("no mark at its end")
    if "\n" in stripped:
        _add_reached(_LINES, stripped.count("\n"), found)
    if stripped[:1].islower():
        found.append("begins in lower case")
    if '"' in text or "\u201c" in text or "\u00ab" in text:
        found.append("a quotation")


def _add_reached(steps: tuple[tuple[int, str], ...], amount: int, found: list[str]) -> None:
    for step, name in steps:
        if amount < step:
            return
        found.append(name)


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
