"""The connection that writes, and the two ways to run a transaction on it.

For one task at a time: then a commit holds exactly one job's rows. That task is stopped and never
cancelled, because cancelling an `await` does not cancel the call behind it in a thread.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import aiosqlite

from llm_router.storage.trouble import explain

T = TypeVar("T")
Job = Callable[[aiosqlite.Connection], Awaitable[T]]
Work = Callable[[sqlite3.Connection], T]


class Writer:
    """Made by `open_writer`. Both ways raise StorageError for SQLite's errors."""

    def __init__(
        self,
        path: Path,
        connection: aiosqlite.Connection,
        same: sqlite3.Connection,
        thread: ThreadPoolExecutor,
    ) -> None:
        self._path = path
        self._connection = connection
        self._same = same
        self._thread = thread

    async def transact(self, job: Job[T]) -> T:
        """Every statement of `job` is a trip to aiosqlite's thread and back."""
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
            raise explain(self._path, exc) from exc
        return result

    async def transact_in_thread(self, work: Work[T]) -> T:
        """All of `work` is one trip."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._transact, work)

    def _transact(self, work: Work[T]) -> T:
        connection = self._same
        try:
            try:
                connection.execute("BEGIN IMMEDIATE")
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as exc:
            raise explain(self._path, exc) from exc
        return result


@asynccontextmanager
async def open_writer(path: Path, busy_timeout_s: float) -> AsyncIterator[Writer]:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer") as thread:
        connect = partial(
            sqlite3.connect,
            path,
            timeout=busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,  # two threads, never at once
        )
        try:
            same = await loop.run_in_executor(thread, connect)
        except sqlite3.Error as exc:
            raise explain(path, exc) from exc
        async with aiosqlite.Connection(lambda: same, iter_chunk_size=64) as connection:
            # FULL costs little once commits are grouped, and a power cut takes nothing committed.
            await connection.execute("PRAGMA synchronous = FULL")
            await connection.execute("PRAGMA foreign_keys = ON")
            # A long reader lets the WAL grow; once it has gone, the file shrinks back to 64 MiB.
            await connection.execute("PRAGMA journal_size_limit = 67108864")
            connection.row_factory = sqlite3.Row
            yield Writer(path, connection, same, thread)
