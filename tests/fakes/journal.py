"""A journal that remembers its appends: each one is a frame, whole or not there at all."""

from typing import TypeVar

import msgspec

from llm_router.ledger.compact import RequestSent, RequestServed
from llm_router.ledger.entry import Entry, Plain, ReadEntry
from llm_router.ledger.served import begun, told

T = TypeVar("T")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[ReadEntry]).decode


class Journal:
    """`appended` is what was handed over, `frames` what that says to whoever reads it."""

    def __init__(self) -> None:
        self.appended: list[Entry] = []
        self.frames: list[tuple[Plain, ...]] = []

    def append(self, *entries: Entry) -> None:
        self.appended += entries
        self.frames.append(tuple(plain for e in read(*entries) for plain in _plainly(e)))

    @property
    def entries(self) -> list[Plain]:
        return [entry for frame in self.frames for entry in frame]

    def only(self, kind: type[T]) -> T:
        """Return the one entry of a kind."""
        [entry] = self.all(kind)
        return entry

    def all(self, kind: type[T]) -> list[T]:
        return [entry for entry in self.entries if isinstance(entry, kind)]


def read(*entries: Entry) -> list[ReadEntry]:
    """Return entries the way they are read after they have been written."""
    return _decode(_encode(entries))


def _plainly(entry: ReadEntry) -> tuple[Plain, ...]:
    """Say it in entries that say one thing each, and nothing a second time."""
    if isinstance(entry, RequestSent):
        return begun(entry)
    if isinstance(entry, RequestServed):
        return told(entry)[3:]
    return (entry,)
