"""The append-only journal of one process: what happened, before anybody is told that it did.

An append is one `write` of one frame, a few microseconds, and survives SIGKILL of the process. The
disk is asked to keep it (`fdatasync`) every `sync_s`, beside the event loop. Nothing here ever
fails a request: what cannot be written now waits in memory, in order and up to a cap.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from llm_router.errors import StorageError
from llm_router.ledger import segments
from llm_router.ledger.entry import Entry
from llm_router.ledger.frames import MAX_PAYLOAD_BYTES, frame
from llm_router.settings import LedgerSettings
from llm_router.tasks import spawn

log = logging.getLogger(__name__)

SEGMENT_BYTES = 16 * 1024 * 1024
# A database that takes no rows must not fill the disk: these are 4 GiB, some million requests.
MAX_SEGMENTS = 256
MAX_BACKLOG_BYTES = 64 * 1024 * 1024
# How much of a backlog one append writes on the side: enough to shrink it, too little to feel.
_FRAMES_PER_APPEND = 32
_FRAMES_PER_TICK = 4096
_TICK_S = 1.0
_SHORTEST_PAUSE_S = 0.01  # a slow disk is not kept busy with nothing else

_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS and Windows have only fsync


class Journal:
    """Made by `open_journal`. For one thread, the event loop's."""

    def __init__(self, folder: Path, sync_s: float, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.process = segments.new_process()
        self.backlog_bytes = 0
        self.dropped = 0
        self._folder = folder
        self._sync_s = sync_s
        self._segment_bytes = segment_bytes
        self._encode = msgspec.msgpack.Encoder().encode
        self._segment, self._fd = segments.create(folder, self.process, 0)
        self._size = 0
        self._rotate_at = segment_bytes
        self._retired: list[int] = []
        self._backlog: deque[bytes] = deque()
        self._is_torn = False
        self._is_full = False  # too many segments wait for the database
        self._is_unsynced = self._is_new = True  # the segment's name is not on the disk yet
        self._cannot_sync = False
        self._stopping = asyncio.Event()
        # Not asyncio's threads: names that cannot be resolved may keep all of those waiting.
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="journal-sync")
        self._disk.submit(int)  # start its thread now, while a start can still be refused

    @property
    def is_failing(self) -> bool:
        """Whether entries wait in memory, or the disk does not confirm what was written."""
        return bool(self._backlog) or self._cannot_sync

    def append(self, *entries: Entry) -> None:
        """Write entries as one frame: all of them will be rows, or none. Never raises."""
        try:
            payload = self._encode(entries)
        except (OverflowError, TypeError, ValueError):
            log.exception("entries that cannot be encoded are missing from the ledger")
            return
        if len(payload) > MAX_PAYLOAD_BYTES:
            log.error("entries of %d bytes are missing from the ledger", len(payload))
            return
        data = frame(payload)
        if self._backlog:
            self._keep(data)
            self._drain(_FRAMES_PER_APPEND)
        elif not self._write(data):
            self._keep(data)

    async def sync(self) -> None:
        """Have the disk confirm what was appended so far, if it can."""
        self._is_full = self._is_full and self._has_too_many_segments()
        self._drain(_FRAMES_PER_TICK)
        if not self._is_unsynced:
            return
        # Only this method closes descriptors, so none is closed while the thread uses it.
        retired, self._retired = self._retired, []
        self._is_unsynced = False
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._disk, self._sync, [*retired, self._fd])
        except OSError as exc:
            self._unconfirmed(exc)
        else:
            self._cannot_sync = False
        for fd in retired:
            os.close(fd)

    async def run(self) -> None:
        """Sync until `close`; the journal's task.

        What is appended just after a sync has begun is on the disk when the next one ends. That
        takes no longer than `sync_s`, if a sync takes about as long as the one before.
        """
        loop, took_s = asyncio.get_running_loop(), 0.0
        while not self._stopping.is_set():
            pause_s = (self._sync_s or _TICK_S) - 2 * took_s
            with suppress(TimeoutError):
                async with asyncio.timeout(max(pause_s, _SHORTEST_PAUSE_S)):
                    await self._stopping.wait()
            began = loop.time()
            await self.sync()
            took_s = loop.time() - began

    def stop(self) -> None:
        self._stopping.set()

    def close(self) -> None:
        """Let go of the lock, which tells the ingesting process that this one has ended."""
        self._drain(len(self._backlog))
        if self._backlog:
            log.error("%d journal frames could not be written and are lost", len(self._backlog))
        self._disk.shutdown()
        for fd in (*self._retired, self._fd):
            os.close(fd)

    def _write(self, data: bytes) -> bool:
        if self._is_full:
            self._failed(f"{MAX_SEGMENTS} segments wait for the database")
            return False
        try:
            written = os.write(self._fd, data)
        except OSError as exc:
            self._failed(str(exc))
            return False
        if written < len(data):
            # The rest of a torn frame would hide every later one.
            self._is_torn = True
            self._failed("the disk took only a part")
            return False
        self._size += written
        if self._size >= self._rotate_at:
            self._rotate()
        self._is_unsynced = True
        if not self._sync_s:
            self._sync_before_answering()
        return True

    def _drain(self, frames: int) -> None:
        while self._backlog and frames > 0:
            if not self._mend() or not self._write(self._backlog[0]):
                return
            self.backlog_bytes -= len(self._backlog.popleft())
            frames -= 1
            if not self._backlog:
                log.warning("the journal is written again; %d frames lost so far", self.dropped)

    def _keep(self, data: bytes) -> None:
        if self.backlog_bytes + len(data) > MAX_BACKLOG_BYTES:
            if not self.dropped:
                log.error("the journal's backlog is full; entries are lost from now on")
            self.dropped += 1
            return
        self._backlog.append(data)
        self.backlog_bytes += len(data)

    def _failed(self, reason: str) -> None:
        if not self._backlog:
            log.error("the journal cannot be written: %s; entries wait in memory", reason)

    def _mend(self) -> bool:
        """Cut a torn frame off the end of the segment."""
        if self._is_torn:
            try:
                os.ftruncate(self._fd, self._size)
            except OSError:
                return False
            self._is_torn = False
        return True

    def _rotate(self) -> None:
        try:
            segment, fd = segments.create(self._folder, self.process, self._segment.number + 1)
        except OSError as exc:
            log.warning("the journal goes on in %s: %s", self._segment.name, exc)
            self._rotate_at = self._size + self._segment_bytes
            return
        self._retired.append(self._fd)
        self._segment, self._fd = segment, fd
        self._size, self._rotate_at = 0, self._segment_bytes
        self._is_new = True
        self._is_full = self._has_too_many_segments()

    def _has_too_many_segments(self) -> bool:
        ours = [s for s in segments.listed(self._folder) if s.process == self.process]
        return len(ours) > MAX_SEGMENTS

    def _sync_before_answering(self) -> None:
        try:
            self._sync([*self._retired, self._fd])
        except OSError as exc:
            self._unconfirmed(exc)
        else:
            self._cannot_sync = False
            self._is_unsynced = bool(self._retired)  # they are still to be closed

    def _sync(self, fds: list[int]) -> None:
        is_new, self._is_new = self._is_new, False
        for fd in fds:
            _fdatasync(fd)
        if is_new:
            segments.sync_folder(self._folder)

    def _unconfirmed(self, error: OSError) -> None:
        if not self._cannot_sync:
            log.error("the disk does not confirm the journal: %s", error)
        self._is_unsynced = self._is_new = self._cannot_sync = True


@asynccontextmanager
async def open_journal(settings: LedgerSettings) -> AsyncIterator[Journal]:
    """Start this process's journal; StorageError if its folder cannot be used."""
    folder = settings.journals
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        journal = Journal(folder, settings.sync_s)
    except OSError as exc:
        raise StorageError(f"the journal folder {folder} cannot be used: {exc.strerror}") from exc
    task = spawn(journal.run(), name="journal-sync")
    try:
        yield journal
    finally:
        journal.stop()
        await task
        journal.close()
