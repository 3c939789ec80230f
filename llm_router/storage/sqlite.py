"""The SQLite database: one writer, one transaction at a time, and readers beside it.

All writes of the machine go through one connection that belongs to one task, so a commit holds
exactly one job's rows. The task is stopped and never cancelled; a caller that goes away leaves its
job to finish.
"""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from llm_router.errors import StorageError
from llm_router.storage.lock import WriterLock, writer_lock
from llm_router.storage.lock import running_server as running_server
from llm_router.storage.migrate import prepare
from llm_router.storage.reader import Parameters, Reader
from llm_router.storage.reader import open_reader as open_reader
from llm_router.storage.writer import Job, Writer, open_writer
from llm_router.tasks import spawn

log = logging.getLogger(__name__)

BUSY_TIMEOUT_S = 3.0

T = TypeVar("T")


class Database:
    """The writer and its reader. Made by `open_database`."""

    def __init__(self, path: Path, writer: Writer, reader: Reader, lock: WriterLock) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader
        self._lock = lock
        self._queue: asyncio.Queue[tuple[Job[Any], asyncio.Future[Any]] | None] = asyncio.Queue()
        self._is_open = True

    def announce(self, url: str, pid: int | None = None) -> None:
        """Let other commands of this machine find the running server; see `running_server`."""
        self._lock.announce(url, pid)

    async def transact(self, job: Job[T]) -> T:
        """Run `job` in a thread inside BEGIN IMMEDIATE … COMMIT and return what it returns.

        SQLite's errors become StorageError; any exception means that nothing was written. The job
        finishes even if the caller is cancelled.
        """
        if not self._is_open:
            raise StorageError(f"database {self.path} is closed")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((job, done))
        return await done

    async def read(self, sql: str, params: Parameters = ()) -> list[sqlite3.Row]:
        """Return every row, from a connection that cannot write and has a few seconds' time."""
        return await self._reader.read(sql, params)

    async def _write(self) -> None:
        """Run one transaction after the other until `None` comes; the writer task."""
        while (item := await self._queue.get()) is not None:
            job, done = item
            try:
                result = await self._writer.transact(job)
            except BaseException as exc:
                if done.cancelled():
                    log.warning("a write whose caller had left failed: %s", exc)
                else:
                    done.set_exception(exc)
            else:
                if not done.cancelled():
                    done.set_result(result)

    def _stop(self) -> None:
        self._is_open = False
        self._queue.put_nowait(None)


@asynccontextmanager
async def open_database(
    path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S
) -> AsyncIterator[Database]:
    """Be the writer of the database at `path`: lock, create or migrate, open, and close.

    StorageError, with the file untouched, when another process writes it or it is not ours.
    """
    async with AsyncExitStack() as stack:
        lock = stack.enter_context(writer_lock(path))
        await asyncio.to_thread(prepare, path)
        writer = await stack.enter_async_context(open_writer(path, busy_timeout_s))
        reader = await stack.enter_async_context(open_reader(path, check_schema=False))
        database = Database(path, writer, reader, lock)
        task = spawn(database._write(), name="sqlite-writer")
        try:
            yield database
        finally:
            database._stop()
            await task
