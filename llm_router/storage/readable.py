"""What reports need of a database: the server's own, or a command's read-only one."""

import sqlite3
from typing import Protocol

from llm_router.storage.reader import Parameters


class Readable(Protocol):
    async def read(self, sql: str, params: Parameters = ()) -> list[sqlite3.Row]:
        """Return every row; StorageError if the database cannot answer in time."""
