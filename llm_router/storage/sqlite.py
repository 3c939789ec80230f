"""The SQLite database: one writer, one transaction at a time, and readers beside it.

All writes of the machine go through one connection that belongs to one task, so a commit holds
exactly one job's rows. Cancelling an `await` does not cancel the call behind it in aiosqlite's
thread; therefore the task is stopped and never cancelled, and a caller that goes away leaves its
job to finish.
"""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from llm_router.errors import StorageError
from llm_router.storage.lock import WriterLock, writer_lock
from llm_router.storage.lock import running_server as running_server
from llm_router.storage.migrate import prepare
from llm_router.storage.reader import Parameters, Reader
from llm_router.storage.reader import open_reader as open_reader
from llm_router.storage.trouble import explain
from llm_router.tasks import spawn

log = logging.getLogger(__name__)

BUSY_TIMEOUT_S = 3.0

T = TypeVar("T")
Job = Callable[[aiosqlite.Connection], Awaitable[T]]


class Database:
    """The writer and its reader. Made by `open_database`."""

    def __init__(
        self, path: Path, connection: aiosqlite.Connection, reader: Reader, lock: WriterLock
    ) -> None:
        self.path = path
        self._connection = connection
        self._reader = reader
        self._lock = lock
        self._jobs: asyncio.Queue[tuple[Job[Any], asyncio.Future[Any]] | None] = asyncio.Queue()
        self._is_open = True

    def announce(self, url: str) -> None:
        """Let other commands of this machine find the running server; see `running_server`."""
        self._lock.announce(url)

    async def transact(self, job: Job[T]) -> T:
        """Run `job` inside BEGIN IMMEDIATE … COMMIT and return what it returns.

        SQLite's errors become StorageError; any exception means that nothing was written. The job
        finishes even if the caller is cancelled.
        """
        if not self._is_open:
            raise StorageError(f"database {self.path} is closed")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait((job, done))
        return await done

    async def read(self, sql: str, params: Parameters = ()) -> list[sqlite3.Row]:
        """Return every row, from a connection that cannot write and has a few seconds' time."""
        return await self._reader.read(sql, params)

    async def _write(self) -> None:
        """Do one job after the other until `None` comes; the writer task."""
        while (item := await self._jobs.get()) is not None:
            job, done = item
            try:
                result = await self._transaction(job)
            except BaseException as exc:
                if done.cancelled():
                    log.warning("a write whose caller had left failed: %s", exc)
                else:
                    done.set_exception(exc)
            else:
                if not done.cancelled():
                    done.set_result(result)

    async def _transaction(self, job: Job[T]) -> T:
        connection = self._connection
        try:
            try:
                await connection.execute("BEGIN IMMEDIATE")
                result = await job(connection)
                await connection.execute("COMMIT")
            except BaseException:
                # SQLite may have rolled back already: a full disk does that.
                if connection.in_transaction:
                    await connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as exc:
            raise explain(self.path, exc) from exc
        return result

    def _stop(self) -> None:
        self._is_open = False
        self._jobs.put_nowait(None)


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
        connection = await stack.enter_async_context(_connect(path, busy_timeout_s))
        reader = await stack.enter_async_context(open_reader(path, check_schema=False))
        database = Database(path, connection, reader, lock)
        writer = spawn(database._write(), name="sqlite-writer")
        try:
            yield database
        finally:
            database._stop()
            await writer


@asynccontextmanager
async def _connect(path: Path, busy_timeout_s: float) -> AsyncIterator[aiosqlite.Connection]:
    try:
        connection = await aiosqlite.connect(path, timeout=busy_timeout_s, isolation_level=None)
    except sqlite3.Error as exc:
        raise explain(path, exc) from exc
    try:
        # FULL costs little once commits are grouped, and a power cut takes nothing committed.
        await connection.execute("PRAGMA synchronous = FULL")
        await connection.execute("PRAGMA foreign_keys = ON")
        # A long reader lets the WAL grow; once it has gone, the file shrinks back to 64 MiB.
        await connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.row_factory = sqlite3.Row
        yield connection
    finally:
        await connection.close()
