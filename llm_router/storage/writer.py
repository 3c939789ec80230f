"""The connection that writes, on a thread of its own, one transaction after the other.

So a commit holds exactly one job's rows. The thread is stopped and never interrupted: a caller that
goes away leaves its job to finish.
"""

import asyncio
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from llm_router.errors import StorageError
from llm_router.storage.trouble import TROUBLE, explain

log = logging.getLogger(__name__)

# `inserts.py` has seven of each kind; to prepare one takes longer than what it does.
_STATEMENTS = 256

# What is written to a file without a name is lost with the process. In the journal it is not.
_AWAY = (
    "database {path} was deleted, moved or replaced while the router runs; "
    "put it back, or restart the router, which takes up what waits in the journal"
)

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]


class Writer:
    """Made by `open_writer`, for the event loop that runs then."""

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._jobs: SimpleQueue[tuple[Job[Any], asyncio.Future[Any]] | None] = SimpleQueue()
        self._is_open = True
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = Thread(target=self._run, name="sqlite-writer")
        self._thread.start()

    async def transact(self, job: Job[T]) -> T:
        """Run a whole job in one trip to the thread; StorageError for SQLite's errors."""
        if not self._is_open:
            raise StorageError(f"database {self._path} is closed")
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((job, done))
        return await done

    async def close(self) -> None:
        """Finish the jobs there are."""
        self._is_open = False
        self._jobs.put(None)
        await self._ended
        self._thread.join()

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        opened: os.stat_result | None = None
        while (item := self._jobs.get()) is not None:
            job, done = item
            result: object = None
            error: BaseException | None = None
            try:
                if connection is None:
                    connection = _connect(self._path, self._busy_timeout_s)
                    opened = _stat(self._path)
                elif opened is not None and not _is_there(self._path, opened):
                    raise StorageError(_AWAY.format(path=self._path))
                result = _transact(connection, job)
            except TROUBLE as exc:
                error = explain(self._path, exc)
                error.__cause__ = exc
            except BaseException as exc:
                error = exc
            self._loop.call_soon_threadsafe(_tell, done, result, error)
        if connection is not None:
            connection.close()
        self._loop.call_soon_threadsafe(self._ended.set_result, None)


@asynccontextmanager
async def open_writer(path: Path, busy_timeout_s: float) -> AsyncIterator[Writer]:
    """Connect, or raise StorageError; close it once all jobs are done."""
    writer = Writer(path, busy_timeout_s)
    try:
        await writer.transact(_nothing)
        yield writer
    finally:
        await writer.close()


def _transact(connection: sqlite3.Connection, job: Job[T]) -> T:
    try:
        connection.execute("BEGIN IMMEDIATE")
        result = job(connection)
        connection.execute("COMMIT")
    except BaseException:
        # SQLite may have rolled back already: a full disk does that.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _stat(path: Path) -> os.stat_result:
    return os.stat(path)  # noqa: PTH116 -- a third of the time, and asked for at every write


def _is_there(path: Path, opened: os.stat_result) -> bool:
    """Say whether the name still leads to the file that was opened."""
    try:
        return os.path.samestat(_stat(path), opened)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # whoever may not look there may write on in the open file


def _nothing(connection: sqlite3.Connection) -> None: ...


def _tell(done: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if done.cancelled():
        if error is not None:
            log.warning("a write whose caller had left failed: %s", error)
    elif error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)


def _connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path,
        timeout=busy_timeout_s,
        isolation_level=None,
        cached_statements=_STATEMENTS,
    )
    connection.row_factory = sqlite3.Row
    # FULL costs little once commits are grouped, and a power cut takes nothing committed.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # A long reader lets the WAL grow; once it has gone, the file shrinks back to 64 MiB.
    connection.execute("PRAGMA journal_size_limit = 67108864")
    return connection
