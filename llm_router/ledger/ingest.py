"""Moving what the journals say into the database, exactly once.

One process does this for all. Every poll reads what grew, folds it and hands rows and journal
positions to the store as one transaction: after a crash anywhere, either both are there or
neither is. A process that is gone without having said how its calls ended leaves them `lost`.
"""

import asyncio
import logging
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol

from llm_router.clock import Clock, utc_text
from llm_router.errors import RowRefused, StorageError
from llm_router.ledger import segments
from llm_router.ledger.rows import Batch
from llm_router.ledger.segments import Segment
from llm_router.ledger.tail import Tail

log = logging.getLogger(__name__)

# Looking again later while there is traffic lets more requests share a transaction. What is
# journaled shall be in the tables after 200 ms.
POLL_S = 0.1
_BUSY_POLL_S = 0.15
_SWEEP_S = 1.0
_RETRY_S = 1.0


class LedgerStore(Protocol):
    """Where the rows go. Every method raises StorageError when it cannot be done now."""

    async def offsets(self) -> dict[str, int]:
        """Return how far each segment has been moved, pending writes included."""

    async def apply(self, batch: Batch) -> None:
        """Write a batch's rows and journal positions together; RowRefused if it never can be."""

    async def processes_in_flight(self) -> set[str]:
        """Return the processes that have rows without an outcome."""

    async def bury(self, process: str, at: str) -> int:
        """Call every open row of a dead process lost; return how many there were."""

    async def forget(self, segments: Sequence[str]) -> None:
        """Drop the positions of segments that are no longer there."""


class Rows(Protocol):
    """How what is journaled becomes rows, as seen by those who do not make them."""

    @property
    def is_failing(self) -> bool:
        """Whether the database does not take rows now."""

    async def flush(self) -> object:
        """Make rows of everything appended so far; StorageError if that cannot be done now."""

    async def share(self) -> object:
        """Flush, and have all processes that serve act on it."""


class Ingestor:
    """Its `run` is a task; everything else may be called beside it, and be cancelled."""

    def __init__(self, store: LedgerStore, folder: Path, clock: Clock) -> None:
        self.is_failing = False
        self._store = store
        self._clock = clock
        self._tail = Tail(folder)
        self._is_positioned = False
        self._turn = asyncio.Lock()
        self._is_stopping = False
        self._pause: asyncio.Future[None] | None = None

    async def recover(self) -> None:
        """Take in what dead processes left; call it before this one serves."""
        async with self._turn:
            await self._ingest()
            await self._sweep()
            left = segments.listed(self._tail.folder)
            living = {segment.process for segment in left}
            for process in sorted(await self._store.processes_in_flight() - living):
                await self._bury(process)
            await self._forget(self._tail.offsets.keys() - {segment.name for segment in left})

    async def run(self) -> None:
        """Move rows as they come, until `drain`; wait for a database that cannot be written."""
        swept_at = self._clock.monotonic()
        while not self._is_stopping:
            pause_s = POLL_S
            try:
                if await self.flush():
                    pause_s = _BUSY_POLL_S
                if self._clock.monotonic() - swept_at >= _SWEEP_S:
                    swept_at = self._clock.monotonic()
                    await self._sweep_in_turn()
                self._succeeded()
            except (StorageError, OSError) as exc:
                self._failed(exc)
                pause_s = _RETRY_S
            await self._rest(pause_s)

    async def flush(self) -> bool:
        """Move everything appended so far and return whether there was anything.

        StorageError if the database cannot take it now.
        """
        async with self._turn:
            return await self._ingest()

    share = flush  # nobody else serves

    async def drain(self) -> None:
        """End `run` and move what is left; what the database does not take stays in the journal."""
        self._is_stopping = True
        _end(self._pause)
        try:
            await self.flush()
            await self._sweep_in_turn()
        except (StorageError, OSError) as exc:
            log.warning("what is not in the database yet waits in the journal: %s", exc)

    async def _rest(self, seconds: float) -> None:
        """Pause until `drain`, at most. (To wait for an event with a timeout takes longer.)"""
        loop = asyncio.get_running_loop()
        self._pause = loop.create_future()
        timer = loop.call_later(seconds, _end, self._pause)
        try:
            await self._pause
        finally:
            timer.cancel()

    async def _sweep_in_turn(self) -> None:
        async with self._turn:
            await self._sweep()

    async def _ingest(self) -> bool:
        is_careful = has_moved = False
        while True:
            if not self._is_positioned:
                self._tail.offsets = await self._store.offsets()
                self._is_positioned = True
            now = self._clock.wall()
            taken = self._tail.take_one(now) if is_careful else await self._tail.take(now)
            if not taken.batch.advances:
                return has_moved
            try:
                await self._apply(taken.batch)
            except RowRefused as exc:
                # One bad row must not stop the ledger: find its frame and go on without it.
                if is_careful:
                    await self._skip(taken.batch, exc)
                is_careful = True
                continue
            has_moved = True
            if taken.is_all:
                return has_moved

    async def _apply(self, batch: Batch) -> None:
        # Should this be cancelled or fail, only the database knows whether it was written.
        self._is_positioned = False
        await self._store.apply(batch)
        self._tail.moved(batch.advances)
        self._is_positioned = True

    async def _skip(self, batch: Batch, error: RowRefused) -> None:
        for advance in batch.advances:
            log.error(
                "journal %s, byte %d: left out of the ledger: %s",
                advance.segment,
                advance.start,
                error,
            )
            self._tail.unreadable.add(advance.segment)
        await self._apply(Batch(advances=batch.advances))

    async def _sweep(self) -> None:
        """Bury processes that are gone and remove the segments nobody needs any more."""
        for process, group in groupby(
            segments.listed(self._tail.folder), key=lambda segment: segment.process
        ):
            await self._sweep_process(process, list(group))

    async def _sweep_process(self, process: str, found: list[Segment]) -> None:
        folder = self._tail.folder
        with segments.held(folder, found) as fds:
            # A living process locks its next segment before it lets go of the former, so one
            # without any lock is dead only if no new segment has come meanwhile.
            is_dead = len(fds) == len(found) and self._segments_of(process) == found
            if is_dead:
                await self._ingest()
                await self._bury(process)
            closed = found if is_dead else [s for s in found[:-1] if s in fds]
            removed = {s.name for s in closed if self._remove(s, fds)}
        if removed:
            segments.sync_folder(folder)
            await self._forget(removed)

    def _segments_of(self, process: str) -> list[Segment]:
        return [s for s in segments.listed(self._tail.folder) if s.process == process]

    def _remove(self, segment: Segment, fds: dict[Segment, int]) -> bool:
        """Remove a closed segment, or set it aside if it holds something that we cannot read."""
        rest = self._tail.rest(segment)
        if rest.payloads:
            return False
        path = self._tail.folder / segment.name
        if rest.end == "damaged" or segment.name in self._tail.unreadable:
            aside = segments.set_aside(path, fds.pop(segment))
            log.error(
                "journal %s is damaged from byte %d on and kept as %s; rows may be missing",
                segment.name,
                self._tail.offsets.get(segment.name, 0),
                aside.name,
            )
            return True
        if rest.end == "torn":
            log.warning("journal %s ends inside an entry, which is lost", segment.name)
        segments.remove(path, fds.pop(segment))
        return True

    async def _bury(self, process: str) -> None:
        if lost := await self._store.bury(process, utc_text(self._clock.wall())):
            log.warning("process %s ended and left %d rows open: lost", process, lost)

    async def _forget(self, names: set[str]) -> None:
        """Drop positions, after the files: the other way round, a crash would read them twice."""
        if names:
            await self._store.forget(sorted(names))
            for name in names:
                self._tail.offsets.pop(name, None)
                self._tail.unreadable.discard(name)

    def _succeeded(self) -> None:
        if self.is_failing:
            log.warning("the database takes rows again")
        self.is_failing = False

    def _failed(self, error: Exception) -> None:
        if not self.is_failing:
            log.error("rows wait in the journal: %s", error)
        self.is_failing = True


def _end(pause: asyncio.Future[None] | None) -> None:
    if pause is not None and not pause.done():
        pause.set_result(None)
