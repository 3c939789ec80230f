"""Words and phrases → what they speak for, laid out for one pass over a text's tokens."""

import re
from collections.abc import Iterable, Sequence

# `c++` and `c#` are words; everything else that is not a letter, digit or underscore separates.
_TOKEN = re.compile(r"\w+(?:\+\+|#)?")
# Scripts without spaces between words: entries in them match anywhere.
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_STEM = 5

# Words that may stand before what is asked: "Hi, could you please explain ..."
_COURTESY = (
    "please pls plz hi hello hey ok okay so well now and but then hmm can could would will you u"
    " kindly just help me to i want need d like question q task problem bitte kannst könntest du"
    " können sie mir und por favor puedes podrías y s il te vous plaît peux pouvez pourriez tu et"
    " me"
)
COURTESY = frozenset(_COURTESY.split())

Entry = tuple[str, int]  # a word or phrase, and the number of what it speaks for
Rest = tuple[tuple[str, ...], int]  # the tokens after a phrase's first
Hits = dict[int, list[str]]


def tokens(text: str) -> list[str]:
    return _TOKEN.findall(text.lower())


def inflections(words: Sequence[str]) -> Iterable[tuple[str, ...]]:
    """Yield a keyword and its simple forms: `recipe` also as `recipes`, never as `recipient`."""
    *head, last = words
    endings = ["", "s", "es", "d", "ed", "ing"]
    if len(last) >= _STEM:
        endings += ["e", "n", "en"]  # German
    for ending in endings:
        yield (*head, last + ending)
    if last.endswith("y"):
        yield (*head, last[:-1] + "ies")
    if last.endswith("e"):
        yield (*head, last[:-1] + "ing")


class Vocabulary:
    """`anywhere` entries count wherever they stand; `openings` at the beginning of the text."""

    def __init__(self, anywhere: Iterable[Entry], openings: Iterable[Entry] = ()) -> None:
        self._words: dict[str, list[int]] = {}
        self._phrases: dict[str, list[Rest]] = {}
        self._stems: dict[str, list[Entry]] = {}
        self._openings: dict[str, list[Rest]] = {}
        self._opening_stems: dict[str, list[Entry]] = {}
        self._parts: dict[str, list[int]] = {}
        for entry, number in anywhere:
            self._add(entry.strip().lower(), number)
        for entry, number in openings:
            entry = entry.strip()
            if entry.endswith("*"):
                self._opening_stems.setdefault(entry[:_STEM], []).append((entry[:-1], number))
            else:
                first, *rest = tokens(entry)
                self._openings.setdefault(first, []).append((tuple(rest), number))
        longest_first = sorted(self._parts, key=len, reverse=True)
        self._part = re.compile("|".join(map(re.escape, longest_first)))

    def _add(self, entry: str, number: int) -> None:
        words = tokens(entry)
        if not words or _UNSPACED.search(entry):
            if entry:
                self._parts.setdefault(entry, []).append(number)
        elif entry.endswith("*") and len(entry) > _STEM:
            self._stems.setdefault(entry[:_STEM], []).append((entry[:-1], number))
        elif len(words) == 1:
            self._words.setdefault(words[0], []).append(number)
        else:
            self._phrases.setdefault(words[0], []).append((tuple(words[1:]), number))

    def hits(self, text: str, tokens: Sequence[str]) -> Hits:
        """Return what was found, by number."""
        found: Hits = {}
        words, phrases, stems = self._words, self._phrases, self._stems
        for at, token in enumerate(tokens):
            if token in words:
                for number in words[token]:
                    found.setdefault(number, []).append(token)
            elif token[:_STEM] in stems:
                _begin(stems[token[:_STEM]], token, found)
            if token in phrases:
                _follow(phrases[token], tokens, at, found)
        if self._parts and not text.isascii():
            for part in self._part.findall(text.lower()):
                for number in self._parts[part]:
                    found.setdefault(number, []).append(part)
        for at, token in enumerate(tokens[:6]):
            if token in self._openings:
                _follow(self._openings[token], tokens, at, found)
            elif token[:_STEM] in self._opening_stems:
                _begin(self._opening_stems[token[:_STEM]], token, found)
            if token not in COURTESY:
                break
        return found


def _begin(stems: list[Entry], token: str, found: Hits) -> None:
    for stem, number in stems:
        if token.startswith(stem):
            found.setdefault(number, []).append(token)


def _follow(candidates: list[Rest], tokens: Sequence[str], at: int, found: Hits) -> None:
    for rest, number in candidates:
        if tuple(tokens[at + 1 : at + 1 + len(rest)]) == rest:
            found.setdefault(number, []).append(" ".join((tokens[at], *rest)))
