"""The connection that writes, on a thread of its own.

For one task at a time: then a commit holds exactly one job's rows. That task is stopped and never
cancelled, because cancelling an `await` does not cancel the call behind it in a thread.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from llm_router.storage.trouble import TROUBLE, explain

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]


class Writer:
    """Made by `open_writer`."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, thread: ThreadPoolExecutor
    ) -> None:
        self._path = path
        self._connection = connection
        self._thread = thread

    async def transact(self, job: Job[T]) -> T:
        """Run a whole job in one trip to the thread; StorageError for SQLite's errors."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._transact, job)

    def _transact(self, job: Job[T]) -> T:
        connection = self._connection
        try:
            try:
                connection.execute("BEGIN IMMEDIATE")
                result = job(connection)
                connection.execute("COMMIT")
            except BaseException:
                # SQLite may have rolled back already: a full disk does that.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except TROUBLE as exc:
            raise explain(self._path, exc) from exc
        return result


@asynccontextmanager
async def open_writer(path: Path, busy_timeout_s: float) -> AsyncIterator[Writer]:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer") as thread:
        try:
            connection = await loop.run_in_executor(thread, _connect, path, busy_timeout_s)
        except TROUBLE as exc:
            raise explain(path, exc) from exc
        try:
            yield Writer(path, connection, thread)
        finally:
            await loop.run_in_executor(thread, connection.close)


def _connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
    connection.row_factory = sqlite3.Row
    # FULL costs little once commits are grouped, and a power cut takes nothing committed.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # A long reader lets the WAL grow; once it has gone, the file shrinks back to 64 MiB.
    connection.execute("PRAGMA journal_size_limit = 67108864")
    return connection
