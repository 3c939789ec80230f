"""What a sign of form is, and the shape of a text, in which most of them are missed at once."""

import re
from collections.abc import Callable, Iterable

from msgspec import Struct
from msgspec.structs import force_setattr

Search = Callable[[str], object]


class Sign(Struct, frozen=True, gc=False):
    """`weight` is about how much it multiplies the odds, as a logarithm."""

    category: str
    name: str
    weight: float
    reason: str = ""

    def __post_init__(self) -> None:
        force_setattr(self, "reason", f"form: {self.name}")


OPERATORS = b"-+*/^=<>"
_RARE = b"()[]{};`#$%\\_"


def _class_of(code: int) -> int:
    char = bytes([code])
    if char.isalnum():
        return ord("a" if char.islower() else "A" if char.isupper() else "0")
    return ord("+" if char in OPERATORS else "(" if char in _RARE else char)


_CLASSES = bytes(map(_class_of, range(256)))


def shape_of(encoded: bytes) -> str:
    """Return a text in ASCII with small letters as `a`, capitals as `A`, digits as `0`, operators
    as `+` and rare marks as `(`; other characters are as they are.
    """
    return encoded.translate(_CLASSES).decode()


def search(pattern: str, flags: int = 0) -> Search:
    return re.compile(pattern, flags).search


def has_one(patterns: Iterable[tuple[str, Search]], text: str) -> bool:
    """Whether a text has one of the patterns, each searched only beside the mark it needs."""
    for mark, pattern in patterns:  # noqa: SIM110 - a generator takes twice as long
        if mark in text and pattern(text):
            return True
    return False
