"""What the local classifier sees of a text: names of features, each present or not.

Groups of the vocabulary (how many of their words were found), the signs of form, and the shape:
length, numbers, how it begins and ends. The words themselves are looked up beside these.
"""

import re
from collections.abc import Sequence
from functools import cache
from operator import attrgetter

from llm_router.classify.structure import form_of
from llm_router.classify.vocabulary import Hits
from llm_router.classify.words import groups

AND = " + "
# How many words and further lines there are at least. Only how short a text is says something: a
# long one may be anything.
_LONG = 5
_TWO, _THREE = "words >= 2", f"words >= 2{AND}words >= 3"
_LENGTHS = ("", "", _TWO, _THREE, _THREE, f"{_THREE}{AND}words >= 5")  # by the number of words
_LINES = ((1, "lines >= 1"), (5, "lines >= 5"), (20, "lines >= 20"))
NOTHING_KNOWN = "no known word and no sign"
_name = attrgetter("name")
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


def features(text: str, words: Sequence[str], hits: Hits, length: int) -> list[str]:
    """Return the names of what a clipped text shows; `hits` are those of the vocabulary."""
    return AND.join(shown(text, words, hits, length)).split(AND)


def shown(text: str, words: Sequence[str], hits: Hits, length: int) -> list[str]:
    """Return the same with features that come together as one: their names with AND between.

    There are some two hundred of these, a tenth of which any one text shows.
    """
    found: list[str] = []
    names = _group_names()
    for number, entries in hits.items():
        count = 1 if len(entries) == 1 else min(len(set(entries)), _COUNTED)
        found.append(names[number][count])
    form = form_of(text, words)
    found += map(_name, form.signs)
    if not found:
        found.append(NOTHING_KNOWN)
    _add_amounts(words, length, form.numbers, found)
    _add_shape(text.strip(), form.numbers, found)
    if not hits:
        found.append("no known word")
    if not form.numbers and _how_many() in hits:
        found.append("how many, without a number")
    return found


def _add_amounts(words: Sequence[str], length: int, numbers: int, found: list[str]) -> None:
    amounts = [_LENGTHS[min(length, _LONG)]] if length > 1 else []
    if numbers * 10 > length:
        amounts.append("many numbers for its length")
    if not _NUMBER_WORDS.isdisjoint(words):
        amounts.append("a number in words")
        if len(_NUMBER_WORDS.intersection(words)) > 1:
            amounts.append("numbers in words")
    if amounts:
        found.append(AND.join(amounts))


def _add_shape(text: str, numbers: int, found: list[str]) -> None:
    shape: list[str] = []
    last = text[-1:]
    if "?" in text or "\uff1f" in text:
        shape.append("asks")
        if numbers > 1:
            shape.append("asks with numbers")
        if last not in "?\uff1f":
            shape.append("asks, then goes on")
    if last.isalnum():
        shape.append("no mark at its end")
    if "\n" in text:
        lines = text.count("\n")
        shape += [name for least, name in _LINES if lines >= least]
    if text[:1].islower():
        shape.append("begins in lower case")
    if '"' in text or "\u201c" in text or "\u00ab" in text:
        shape.append("a quotation")
    if shape:
        found.append(AND.join(shape))


@cache
def _how_many() -> int:
    return next(number for number, group in enumerate(groups()) if group.name == "how many")


@cache
def _group_names() -> tuple[tuple[str, ...], ...]:
    """Return, by group and number of words found, what that shows."""
    return tuple(
        ("", name, f"{name}{AND}{name}, two", f"{name}{AND}{name}, two{AND}{name}, three")
        for name in (group.name for group in groups())
    )
