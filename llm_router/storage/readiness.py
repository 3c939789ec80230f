"""Whether the database answers, and how far its schema has come."""

from llm_router.storage.readable import Readable


async def schema_version(database: Readable) -> int:
    """Ask the database itself. Raises StorageError when it cannot answer."""
    rows = await database.read("SELECT max(version) FROM schema_migrations")
    return int(rows[0][0])
