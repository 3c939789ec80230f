"""What the local classifier looks up of a text's words."""

from collections.abc import Sequence
from operator import add

from llm_router.classify.vocabulary import COURTESY

# What the forms of a word share: `optim` of "optimise" and "optimal".
_BEGINNING = 5
# A text begins after at most so many words of courtesy, and is looked up by so many of its words.
_COURTESIES = 6
_OPENING = 3
# Scripts without spaces, from kana to Hangul. What is asked stands in the first so many characters.
_FIRST, _LAST = "\u3040", "\ud7af"
_UNSPACED_CHARS = 600


def traces(words: Sequence[str]) -> set[str]:
    """Return what there is to look up of a text's words, which are given in their order.

    Each word, and of longer ones the beginning; how the text begins, as `^how to`; of Chinese,
    Japanese and Korean each character and each two.
    """
    found = {word[:_BEGINNING] for word in words if len(word) > _BEGINNING}
    found.update(words, _openings(words))
    return found if "".join(words).isascii() else found | parts(words)


def parts(words: Sequence[str]) -> set[str]:
    """Return what stands for words in scripts that have no spaces between them."""
    if max(words, default="") < _FIRST:
        return set()
    text = " ".join([word for word in words if _FIRST <= word[0] <= _LAST])[:_UNSPACED_CHARS]
    return {*text, *map(add, text, text[1:])}


def _openings(words: Sequence[str]) -> list[str]:
    at, end = 0, min(len(words) - 1, _COURTESIES)
    while at < end and words[at] in COURTESY:
        at += 1
    opening, found = "^", []
    for word in words[at : at + _OPENING]:
        opening += word
        found.append(opening)
        opening += " "
    return found
