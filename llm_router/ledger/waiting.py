"""Requests that have just begun and are no rows yet: most end within seconds and are rows once.

What the journal said of them stands in the database in chunks, one for each batch and process, from
the transaction on that moves the journal past it. So whatever dies, they are known to whoever goes
on. A chunk goes with the last request in it that becomes a row.
"""

import logging
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from math import inf

import msgspec
from msgspec import Raw, Struct

from llm_router.ledger.entry import AttemptAnswered, ReadEntry, RequestSent

log = logging.getLogger(__name__)

# A stream longer than this shows in the tables before its end, and costs two writings of its rows.
HOLD_S = 2.5
MAX_WAITING = 20_000

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[ReadEntry]).decode


class Begun(Struct, frozen=True, gc=False):
    """How a request began. It has waited since `since`, in monotonic seconds."""

    told: Raw
    process: str
    answered: AttemptAnswered | None = None
    since: float = inf


class Chunk(Struct, frozen=True):
    """Entries of one process that are no rows yet, encoded."""

    number: int
    process: str
    entries: bytes


class Waiting:
    """Those that began in earlier batches, the oldest first."""

    def __init__(self) -> None:
        self.begun: dict[str, Begun] = {}
        self._chunks: deque[tuple[int, float]] = deque()  # number, and when its batch was read
        self._newest = 0

    def load(self, chunks: Iterable[Chunk], rows: Collection[str], at: float) -> None:
        """Take up what stands in the database; requests that are `rows` wait no more."""
        for chunk in chunks:
            for entry in _read(chunk):
                if isinstance(entry, RequestSent) and entry.id not in rows:
                    told = Raw(bytes(entry.told))
                    self.begun[entry.id] = Begun(told, chunk.process, None, at)
                elif isinstance(entry, AttemptAnswered):
                    note(self.begun, entry)
            self._chunks.append((chunk.number, at))
            self._newest = chunk.number

    def due(self, most: int, until: float) -> list[str]:
        """Return some of those that have waited since `until` or longer, or are too many."""
        spare = len(self.begun) - MAX_WAITING
        some = enumerate(islice(self.begun.items(), most))
        return [id for place, (id, begun) in some if begun.since <= until or place < spare]

    def keep(
        self, sent: Mapping[str, Begun], answered: Iterable[AttemptAnswered], at: float
    ) -> list[Chunk]:
        """Let these wait from `at` on; return what must be written down of that."""
        said: dict[str, list[RequestSent[Raw] | AttemptAnswered]] = defaultdict(list)
        for id, begun in sent.items():
            told = Raw(bytes(begun.told))  # a copy, which does not keep all that was read with it
            self.begun[id] = Begun(told, begun.process, begun.answered, at)
            said[begun.process].append(RequestSent(id, told))
        for entry in answered:
            if (waits := self.begun.get(request_of(entry.id))) is not None:
                said[waits.process].append(entry)
        return [self._chunk(process, entries, at) for process, entries in said.items()]

    def done(self, until: float = inf) -> int | None:
        """Return the last chunk of which nothing waits any more, if there is one."""
        if not self.begun:
            until = inf
        done = None
        while self._chunks and self._chunks[0][1] <= until:
            done, _ = self._chunks.popleft()
        return done

    def _chunk(
        self, process: str, entries: list[RequestSent[Raw] | AttemptAnswered], at: float
    ) -> Chunk:
        self._newest += 1
        self._chunks.append((self._newest, at))
        return Chunk(self._newest, process, _encode(entries))


def note(begun: dict[str, Begun], entry: AttemptAnswered) -> bool:
    """Add the name of a generation to its request; return whether that is among these."""
    id = request_of(entry.id)
    if (waits := begun.get(id)) is None:
        return False
    begun[id] = Begun(waits.told, waits.process, entry, waits.since)
    return True


def request_of(call: str) -> str:
    """Return the request whose first call that would be."""
    return call.removesuffix(".1")


def requests_in(chunks: Iterable[Chunk]) -> list[str]:
    """Name the requests that these tell of."""
    return [e.id for chunk in chunks for e in _read(chunk) if isinstance(e, RequestSent)]


def _read(chunk: Chunk) -> list[ReadEntry]:
    try:
        return _decode(chunk.entries)
    except ValueError as exc:
        log.error("chunk %d of what waits is not understood: %s", chunk.number, exc)
        return []
