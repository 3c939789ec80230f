"""Whether the database answers, and how far its schema has come."""

from contextlib import suppress
from pathlib import Path

from llm_router.storage.readable import Readable


def wal_bytes(path: Path) -> int:
    """Return the size of the write-ahead log beside the database at `path`."""
    with suppress(OSError):
        return path.with_name(path.name + "-wal").stat().st_size
    return 0


async def schema_version(database: Readable) -> int:
    """Ask the database itself. Raises StorageError when it cannot answer."""
    rows = await database.read("SELECT max(version) FROM schema_migrations")
    return int(rows[0][0])
