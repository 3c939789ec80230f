"""A journal that remembers its appends: each one is a frame, whole or not there at all."""

from typing import TypeVar

from llm_router.ledger.entry import Entry

T = TypeVar("T")


class Journal:
    def __init__(self) -> None:
        self.frames: list[tuple[Entry, ...]] = []

    def append(self, *entries: Entry) -> None:
        self.frames.append(entries)

    @property
    def entries(self) -> list[Entry]:
        return [entry for frame in self.frames for entry in frame]

    def only(self, kind: type[T]) -> T:
        """Return the one entry of a kind."""
        [entry] = self.all(kind)
        return entry

    def all(self, kind: type[T]) -> list[T]:
        return [entry for entry in self.entries if isinstance(entry, kind)]
