"""The SQLite database: one writer, one transaction at a time, and readers beside it.

All writes of the machine go through one connection that belongs to one thread (`writer.py`), so a
commit holds exactly one job's rows.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from llm_router.storage.lock import WriterLock, writer_lock
from llm_router.storage.lock import running_server as running_server
from llm_router.storage.migrate import prepare
from llm_router.storage.reader import Parameters, Reader
from llm_router.storage.reader import open_reader as open_reader
from llm_router.storage.writer import Job, Writer, open_writer

BUSY_TIMEOUT_S = 3.0

T = TypeVar("T")


class Database:
    """The writer and its reader. Made by `open_database`."""

    def __init__(self, path: Path, writer: Writer, reader: Reader, lock: WriterLock) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader
        self._lock = lock

    def announce(self, url: str, pid: int | None = None) -> None:
        """Let other commands of this machine find the running server; see `running_server`."""
        self._lock.announce(url, pid)

    async def transact(self, job: Job[T]) -> T:
        """Run `job` in a thread inside BEGIN IMMEDIATE … COMMIT and return what it returns.

        SQLite's errors become StorageError; any exception means that nothing was written. The job
        finishes even if the caller is cancelled.
        """
        return await self._writer.transact(job)

    async def read(self, sql: str, params: Parameters = ()) -> list[sqlite3.Row]:
        """Return every row, from a connection that cannot write and has a few seconds' time."""
        return await self._reader.read(sql, params)


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
        yield Database(path, writer, reader, lock)
