"""What the journal segments of a folder hold beyond the positions already moved."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from llm_router.ledger import segments
from llm_router.ledger.entry import Entry
from llm_router.ledger.fold import Advance, Batch, Fold
from llm_router.ledger.frames import HEADER, MAX_PAYLOAD_BYTES, Frames, split
from llm_router.ledger.segments import Segment

log = logging.getLogger(__name__)

# Hundreds of requests: a tenth of a second of a busy router shares one commit.
BATCH_BYTES = 256 * 1024
_FRAMES_PER_TURN = 64  # dozens of requests: folding them takes less than a millisecond
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
        self._decode = msgspec.msgpack.Decoder(list[Entry]).decode

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
                fold.batch.advances.append(self._advance(segment, frames.consumed_bytes))
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
                fold.batch.advances.append(self._advance(segment, HEADER.size + len(payloads[0])))
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
        path, start = self.folder / segment.name, self.offsets.get(segment.name, 0)
        try:
            if path.stat().st_size <= start:
                return b""
            with path.open("rb", buffering=0) as file:
                file.seek(start)
                return file.read(limit)
        except FileNotFoundError:
            return b""

    def _fold(self, fold: Fold, segment: Segment, payloads: Iterable[bytes]) -> None:
        entries: list[Entry] = []
        for payload in payloads:
            try:
                entries += self._decode(payload)
            except (ValueError, OverflowError) as exc:
                # Intact, so not the disk's doing: a newer program wrote it.
                self.unreadable.add(segment.name)
                log.error("journal %s holds an entry that is not understood: %s", segment.name, exc)
        fold.add(entries, segment.process)

    def _advance(self, segment: Segment, moved_bytes: int) -> Advance:
        start = self.offsets.get(segment.name, 0)
        return Advance(segment.name, start, start + moved_bytes)
