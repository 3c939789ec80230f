"""The elements of a JSON array from its end, of a long one without reading all that comes before.

What is asked stands in the last messages; a long session's hundreds before them are history.
"""

import re
from collections.abc import Iterator
from itertools import islice

import msgspec

# How much of the end is read at first, and how much if that does not do.
TAILS_BYTES = (4 * 1024, 32 * 1024)
_TRIES = 8
_MOST_COMMAS = 300_000

_list = msgspec.json.Decoder(list[msgspec.Raw])
# In a string the quote would be escaped, so this is a place between two objects, at some depth.
_BETWEEN = re.compile(rb'\}[ \t\r\n]*,[ \t\r\n]*(?=\{[ \t\r\n]*")')


def latest_first(array: bytes) -> Iterator[bytes]:
    """Yield the elements of a valid JSON array, the last one first."""
    given = 0
    for tail_bytes in TAILS_BYTES:
        tail = _tail(array, tail_bytes)
        yield from map(bytes, reversed(tail[: max(0, len(tail) - given)]))
        given = max(given, len(tail))
        if len(array) <= tail_bytes:
            return
    every = elements(array)
    yield from map(bytes, reversed(every[: max(0, len(every) - given)]))


def elements(array: bytes) -> list[msgspec.Raw]:
    """Return the elements of a valid JSON array, none where there may be hundreds of thousands.

    Each takes twenty times the room of its shortest form. A text with as many commas, which may
    look like that, is longer than what models read.
    """
    return [] if array.count(b",") > _MOST_COMMAS else _list.decode(array)


def _tail(array: bytes, tail_bytes: int) -> list[msgspec.Raw]:
    """Return some of the last elements: all of a short array, none where no place to begin is seen.

    From a place inside an element the rest is no list: brackets are left over.
    """
    if len(array) <= tail_bytes:
        return _list.decode(array)
    for between in islice(_BETWEEN.finditer(array, len(array) - tail_bytes), _TRIES):
        try:
            return _list.decode(b"[" + array[between.end() :])
        except msgspec.DecodeError:
            continue
    return []
