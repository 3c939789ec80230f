"""Words and phrases → what they speak for, laid out for one pass over a text's tokens."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from unicodedata import normalize

from msgspec import Struct

# Scripts without spaces between words: entries in them match anywhere.
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
# `c++` and `c#` are words, and `react` is one before Chinese, too; everything else that is not a
# letter, digit or underscore separates.
_TOKEN = re.compile(rf"[^\W{_UNSPACED}]+(?:\+\+|#)?|[{_UNSPACED}]+")
# The same for ASCII without either: every separator becomes a space.
_SPACED = bytes(code if re.match(rb"\w", bytes([code])) else 32 for code in range(256))
_unspaced = re.compile(f"[{_UNSPACED}]").search
_STEM = 5
_PLURAL = 4
_NO_PLURALS = frozenset(
    ("always", "lens", "maths", "news", "pandas", "rails", "series", "species", "windows")
)
_OPENING = 6  # the tokens among which an opening may begin

# Words that may stand before what is asked: "Hi, could you please explain ..."
_COURTESY = (
    "please pls plz hi hello hey ok okay so well now and but then hmm can could would will you u"
    " kindly just help me to i want need d like question q task problem bitte kannst könntest du"
    " können sie mir und por favor puedes podrías y s il te vous plaît peux pouvez pourriez tu et"
    " me"
)
COURTESY = frozenset(_COURTESY.split())

Entry = tuple[str, int]  # a word or phrase, and the number of what it speaks for
Hits = dict[int, list[str]]

# Letters with accents may be written as two characters each (macOS names files so). Texts and
# entries are compared with each in one.
composed = partial(normalize, "NFC")


def tokens(lower: str) -> list[str]:
    """Return the words of a text in lower case."""
    if lower.isascii() and "#" not in lower and "++" not in lower:
        return lower.encode().translate(_SPACED).decode().split()  # four times faster
    return _TOKEN.findall(lower)


def inflections(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield a keyword and its simple forms: `recipe` also as `recipes`, never as `recipient`.

    And the other way round, `recipes` also as `recipe`.
    """
    *head, last = words
    for word in (last, singular(last)):
        if word is not None:
            yield from ((*head, form) for form in _forms(word))


def singular(word: str) -> str | None:
    """Return an English plural's singular; None for what is none, or only looks like one."""
    if len(word) < _PLURAL or word in _NO_PLURALS or not word.endswith("s"):
        return None
    if word.endswith(("ss", "us", "is")):
        return None
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("ches", "shes", "sses", "xes")) else word[:-1]


def _forms(word: str) -> Iterator[str]:
    endings = ["", "s", "es", "d", "ed", "ing"]
    if len(word) >= _STEM:
        endings += ["e", "n", "en"]  # German
    for ending in endings:
        yield word + ending
    if word.endswith("y"):
        yield word[:-1] + "ies"
    if word.endswith("e"):
        yield word[:-1] + "ing"


class Vocabulary:
    """`anywhere` entries count wherever they stand; `openings` at the beginning of the text.

    Entries in scripts without spaces are found anywhere in either case.
    """

    def __init__(self, anywhere: Iterable[Entry], openings: Iterable[Entry] = ()) -> None:
        self._parts: dict[str, list[int]] = {}
        self._anywhere = _Table(self._spaced(anywhere))
        openings = tuple(openings)
        self._openings = _Table(self._spaced(openings))
        self._has_openings = bool(openings)
        # By the first character: the lengths that begin with it, the longest first.
        self._lengths: dict[str, list[int]] = {}
        for part in sorted(self._parts, key=len, reverse=True):
            lengths = self._lengths.setdefault(part[0], [])
            if len(part) not in lengths:
                lengths.append(len(part))
        self._begin = re.compile(
            f"[{re.escape(''.join(self._lengths))}]" if self._parts else ""
        ).search

    def _spaced(self, entries: Iterable[Entry]) -> Iterator[tuple[str, list[str], int]]:
        """Yield the entries that are words; keep those that are looked for inside of runs."""
        for given, number in entries:
            entry = composed(given).strip().lower()
            is_spaced = entry.isascii() or not _unspaced(entry)
            if is_spaced and (words := tokens(entry)):
                yield entry, words, number
            elif entry:
                self._parts.setdefault(entry, []).append(number)

    def hits(self, lower: str, tokens: list[str]) -> Hits:
        """Return what was found in a text in lower case, by number."""
        found: Hits = defaultdict(list)
        padded = [*tokens, ""]
        self._anywhere.look(tokens, padded, found)
        if self._parts and not lower.isascii() and (first := self._begin(lower)) is not None:
            self._look_inside(lower, first.start(), found)
        if self._has_openings:
            self._openings.look(tokens[: _opening(tokens)], padded, found)
        return found

    def _look_inside(self, lower: str, first: int, found: Hits) -> None:
        """Add the longest entry at each place from `first` on; none begins inside another."""
        begins, parts, end = self._lengths, self._parts, 0
        for at, char in enumerate(lower[first:], first):
            if char in begins and at >= end:
                for length in begins[char]:
                    part = lower[at : at + length]
                    if part in parts:
                        for number in parts[part]:
                            found[number].append(part)
                        end = at + length
                        break


class _Node(Struct):
    """What was read since a phrase began, whose it is, and what may follow."""

    text: str
    numbers: list[int] = []
    nexts: "dict[str, _Node]" = {}


class _Table:
    """Words, phrases and stems. A stem counts where its word is not an entry of its own."""

    def __init__(self, entries: Iterable[tuple[str, list[str], int]]) -> None:
        # By a first word: whose it is alone, and what may follow.
        self._known: dict[str, tuple[list[int], dict[str, _Node]]] = {}
        self._stems: dict[str, list[Entry]] = {}
        for entry, words, number in entries:
            if entry.endswith("*") and len(words) == 1 and len(words[0]) >= _STEM:
                self._stems.setdefault(words[0][:_STEM], []).append((words[0], number))
            else:
                self._add(words, number)
        for token, (numbers, _) in self._known.items():
            numbers += () if numbers else self._by_stem(token)

    def _add(self, words: list[str], number: int) -> None:
        first, *others = words
        known = self._known.get(first)
        if known is None:
            known = self._known[first] = [], {}
        text, (numbers, nexts) = first, known
        for word in others:
            text = f"{text} {word}"
            node = nexts.get(word)
            if node is None:
                node = nexts[word] = _Node(text)
            numbers, nexts = node.numbers, node.nexts
        numbers.append(number)

    def look(self, begins: list[str], tokens: list[str], found: Hits) -> None:
        """Add to `found` what begins at one of the first tokens, which are `begins`.

        The last of `tokens` is no word.
        """
        known, stems = self._known.get, self._stems
        for at, token in enumerate(begins, 1):
            entry = known(token)
            if entry is not None:
                numbers, nexts = entry
                if numbers:
                    for number in numbers:
                        found[number].append(token)
                # Many words begin phrases, few of them are followed by the next word of one.
                if tokens[at] in nexts:
                    _follow(nexts[tokens[at]], tokens, at + 1, found)
            elif len(token) >= _STEM and token[:_STEM] in stems:
                for number in self._by_stem(token):
                    found[number].append(token)

    def _by_stem(self, token: str) -> list[int]:
        stems = self._stems.get(token[:_STEM], ())
        return [number for stem, number in stems if token.startswith(stem)]


def _follow(node: _Node | None, tokens: list[str], at: int, found: Hits) -> None:
    while node is not None:
        for number in node.numbers:
            found[number].append(node.text)
        if not node.nexts:
            return
        node = node.nexts.get(tokens[at])
        at += 1


def _opening(tokens: list[str]) -> int:
    """Return how many tokens an opening may begin at: those of courtesy and the next."""
    if not tokens or tokens[0] not in COURTESY:
        return 1
    for place, token in enumerate(tokens[:_OPENING], 1):
        if token not in COURTESY:
            return place
    return _OPENING
