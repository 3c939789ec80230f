"""Reading the database beside its writer: read-only, and never for long.

The connection cannot write and never checkpoints. SQLite before 3.51.3 can corrupt a WAL database
that several connections checkpoint at once (https://sqlite.org/wal.html#walresetbug), so that is
left to the one writer.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from llm_router.errors import StorageError
from llm_router.storage.migrate import connect_readonly, migrations, schema_version
from llm_router.storage.trouble import TROUBLE, explain

READ_LIMIT_S = 5.0
_STEPS_BETWEEN_CHECKS = 20_000

Parameters = Sequence[object] | Mapping[str, object]


class Reader:
    """One read-only connection on a thread of its own; queries run one after the other.

    It stays the same connection, so `PRAGMA data_version` tells whether somebody else wrote.
    """

    def __init__(self, path: Path, limit_s: float) -> None:
        self.path = path
        self._limit_s = limit_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-reader")
        self._connection: sqlite3.Connection | None = None
        self._deadline = 0.0
        self._is_closed = False

    async def read(self, sql: str, params: Parameters = ()) -> list[sqlite3.Row]:
        """Return every row; StorageError when it takes too long or cannot be done."""
        if self._is_closed:
            raise StorageError(f"database {self.path} is closed")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._read, sql, params)

    async def open(self, *, check_schema: bool) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._open, check_schema)

    async def close(self) -> None:
        self._is_closed = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _open(self, check_schema: bool) -> None:
        if not self.path.exists():
            raise StorageError(
                f"database {self.path} does not exist yet; `llm-router serve` makes it"
            )
        try:
            connection = connect_readonly(self.path)
            self._connection = connection
            connection.execute("PRAGMA query_only = ON")
            if check_schema:
                self._check_schema(connection)
        except TROUBLE as exc:
            raise explain(self.path, exc) from exc
        connection.row_factory = sqlite3.Row
        connection.set_progress_handler(self._is_late, _STEPS_BETWEEN_CHECKS)

    def _check_schema(self, connection: sqlite3.Connection) -> None:
        if schema_version(connection, self.path) < migrations()[-1].version:
            raise StorageError(
                f"database {self.path} was made by an older llm-router; "
                "run `llm-router migrate` or start the server once"
            )

    def _read(self, sql: str, params: Parameters) -> list[sqlite3.Row]:
        assert self._connection is not None
        self._deadline = time.monotonic() + self._limit_s
        try:
            return self._connection.execute(sql, params).fetchall()
        except TROUBLE as exc:
            raise explain(self.path, exc) from exc

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()


@asynccontextmanager
async def open_reader(
    path: Path, *, limit_s: float = READ_LIMIT_S, check_schema: bool = True
) -> AsyncIterator[Reader]:
    """Read a database that a server may be writing; StorageError if it is missing or not ours."""
    reader = Reader(path, limit_s)
    try:
        await reader.open(check_schema=check_schema)
        yield reader
    finally:
        await reader.close()
