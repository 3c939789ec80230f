"""What the journal segments of a folder hold beyond the positions already moved."""

import asyncio
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import msgspec

from llm_router.ledger import segments
from llm_router.ledger.entry import ReadEntry
from llm_router.ledger.fold import Fold
from llm_router.ledger.frames import HEADER, MAX_PAYLOAD_BYTES, Frames, split
from llm_router.ledger.rows import Advance, Batch
from llm_router.ledger.segments import Segment

log = logging.getLogger(__name__)

# Hundreds of requests: a tenth of a second of a busy router shares one commit.
BATCH_BYTES = 256 * 1024
_FRAMES_PER_TURN = 64  # dozens of requests: folding them takes less than a millisecond
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)  # Windows would change line ends
_MAX_FRAME_BYTES = HEADER.size + MAX_PAYLOAD_BYTES


@dataclass(frozen=True, slots=True)
class Taken:
    """`is_all` is False when there may be more to take."""

    batch: Batch
    is_all: bool


class Tail:
    """Reads; moves nothing by itself. `offsets` are as the database last said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.offsets: dict[str, int] = {}
        self.unreadable: set[str] = set()
        self._decode = msgspec.msgpack.Decoder(list[ReadEntry]).decode
        self._decode_all = msgspec.msgpack.Decoder(list[list[ReadEntry]]).decode

    async def take(self, now: float) -> Taken:
        """Fold the next entries of every segment, in each process's order, up to the cap.

        Others have their turn every few dozen requests.
        """
        fold = Fold(now)
        room = BATCH_BYTES
        for segment in segments.listed(self.folder):
            data = self._read(segment, room)
            frames = self._frames(segment, data)
            if frames.payloads:
                for start in range(0, len(frames.payloads), _FRAMES_PER_TURN):
                    if start:
                        await asyncio.sleep(0)
                    self._fold(fold, segment, frames.payloads[start : start + _FRAMES_PER_TURN])
                while fold.settle(_FRAMES_PER_TURN):  # noqa: ASYNC110  it waits for nothing
                    await asyncio.sleep(0)
                self._moved_to(fold, segment, frames.consumed_bytes)
            room -= len(data)
            if room <= 0:
                return Taken(fold.batch, is_all=False)
        return Taken(fold.batch, is_all=True)

    def take_one(self, now: float) -> Taken:
        """Fold the next frame alone."""
        fold = Fold(now)
        for segment in segments.listed(self.folder):
            data = self._read(segment, BATCH_BYTES)
            if payloads := self._frames(segment, data).payloads:
                self._fold(fold, segment, payloads[:1])
                self._moved_to(fold, segment, HEADER.size + len(payloads[0]))
                return Taken(fold.batch, is_all=False)
        return Taken(fold.batch, is_all=True)

    def rest(self, segment: Segment) -> Frames:
        """Return what follows a segment's position, at least one frame if there is a whole one."""
        return split(self._read(segment, _MAX_FRAME_BYTES))

    def moved(self, advances: Iterable[Advance]) -> None:
        for advance in advances:
            self.offsets[advance.segment] = advance.end

    def _frames(self, segment: Segment, data: bytes) -> Frames:
        frames = split(data)
        if frames.end == "torn" and not frames.payloads:
            # Perhaps only because the rest of one long frame was not read.
            return self.rest(segment)
        return frames

    def _read(self, segment: Segment, limit: int) -> bytes:
        try:
            fd = os.open(f"{self.folder}/{segment.name}", _READ)
        except FileNotFoundError:
            return b""
        try:
            os.lseek(fd, self.offsets.get(segment.name, 0), os.SEEK_SET)
            return os.read(fd, limit)
        finally:
            os.close(fd)

    def _fold(self, fold: Fold, segment: Segment, payloads: Sequence[bytes]) -> None:
        try:
            # Read as one array, since each reading has its price.
            entries = self._decode_all(b"".join((_array_of(len(payloads)), *payloads)))
        except (ValueError, OverflowError):
            entries = self._decode_each(segment, payloads)
        fold.add(chain.from_iterable(entries), segment.process)

    def _decode_each(self, segment: Segment, payloads: Iterable[bytes]) -> list[list[ReadEntry]]:
        entries = []
        for payload in payloads:
            try:
                entries.append(self._decode(payload))
            except (ValueError, OverflowError) as exc:
                self._not_understood(segment, exc)
        return entries

    def _moved_to(self, fold: Fold, segment: Segment, moved_bytes: int) -> None:
        """Note how far the fold has come, and what of it nobody could read."""
        start = self.offsets.get(segment.name, 0)
        fold.batch.advances.append(Advance(segment.name, start, start + moved_bytes))
        for error in fold.misread:
            self._not_understood(segment, error)
        fold.misread.clear()

    def _not_understood(self, segment: Segment, error: Exception) -> None:
        # Intact, so not the disk's doing: a newer program wrote it.
        self.unreadable.add(segment.name)
        log.error("journal %s holds an entry that is not understood: %s", segment.name, error)


def _array_of(length: int) -> bytes:
    """Return what an array of so many elements begins with in MessagePack."""
    return b"\xdc" + length.to_bytes(2, "big")
