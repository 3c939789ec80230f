"""The schema: which migrations there are, and how a database file gets them.

Whether a file is ours is decided on a read-only connection, so a file that is refused keeps every
byte. Only the holder of the writer lock may call `prepare`.
"""

import logging
import os
import re
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from llm_router import platform
from llm_router.clock import utc_text
from llm_router.errors import StorageError
from llm_router.storage.trouble import TROUBLE, explain, explain_os

log = logging.getLogger(__name__)

APPLICATION_ID = 0x4C4C4D52  # "LLMR"; `file router.db` shows it
_MARK_AS_OURS = f"PRAGMA application_id = {APPLICATION_ID}"
TELL_EVERY_S = 5.0
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
_STEPS_BETWEEN_LOOKS = 100_000  # a few milliseconds of SQLite's work
_NAME = re.compile(r"(\d{4})_(\w+)\.sql")
_PACKAGE = Path(__file__).resolve().parent.parent
# A checkout has them at its top, an installed package brings its own copy.
_FOLDERS = (_PACKAGE / "_migrations", _PACKAGE.parent / "migrations")


Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    path: Path


def migrations() -> tuple[Migration, ...]:
    """Return every migration this program knows, oldest first."""
    folder = next(folder for folder in _FOLDERS if folder.is_dir())
    return tuple(
        Migration(int(match[1]), match[2], file)
        for file in sorted(folder.iterdir())
        if (match := _NAME.fullmatch(file.name))
    )


def prepare(path: Path, tell: Tell = log.info) -> list[Migration]:
    """Create or bring up to date the database at `path`; return what was applied.

    `tell` hears how far an older one has come, and every few seconds that it goes on.

    Raises StorageError, having written nothing, for a file that is not ours, damaged, not
    writable or made by a newer program.
    """
    try:
        _create(path)
        _warn_if_readable_by_others(path)
        try:
            version = _version(path)
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK or not _was_empty(path):
                raise
            _roll_back(path)
            version = _version(path)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return migrate(connection, version, tell)
    except OSError as exc:
        raise explain_os(path, exc) from exc
    except TROUBLE as exc:
        raise explain(path, exc) from exc


def _version(path: Path) -> int:
    with closing(connect_readonly(path)) as connection:
        return schema_version(connection, path)


def _was_empty(path: Path) -> bool:
    """Return whether what was cut off in the middle of a change had no page before it.

    That is how a power cut leaves a database that was being made; later on, in WAL mode, it has no
    such journal (https://sqlite.org/fileformat2.html#the_rollback_journal).
    """
    header = path.with_name(path.name + "-journal").read_bytes()[:20]
    return header[:8] == _JOURNAL_MAGIC and header[16:] == bytes(4)


def _roll_back(path: Path) -> None:
    """Let SQLite undo it, which opening to read only cannot."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("SELECT name FROM sqlite_schema").fetchall()


def connect_readonly(path: Path) -> sqlite3.Connection:
    """Open without the means to write or checkpoint: closing it leaves the file as it was."""
    uri = path.resolve().as_uri() + "?mode=ro"
    return sqlite3.connect(uri, uri=True, isolation_level=None)


def schema_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the newest migration applied, 0 for an empty file; StorageError if it is not ours."""
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
    if not tables and application_id == 0:
        return 0
    if application_id != APPLICATION_ID or "schema_migrations" not in tables:
        raise StorageError(
            f"database {path} belongs to another program; nothing was changed. "
            "Choose another ledger.path"
        )
    version: int = connection.execute(
        "SELECT coalesce(max(version), 0) FROM schema_migrations"
    ).fetchone()[0]
    newest = migrations()[-1].version
    if version > newest:
        raise StorageError(
            f"database {path} has schema {version}, this program knows {newest}; nothing was "
            "changed. Install the newer llm-router again, or use a backup from before the upgrade"
        )
    return version


def migrate(connection: sqlite3.Connection, version: int, tell: Tell = log.info) -> list[Migration]:
    """Apply what is newer than `version`, each migration in a transaction with its own row."""
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise sqlite3.OperationalError(f"no WAL on this file system, only {mode}")
    connection.execute("PRAGMA synchronous = FULL")
    if version == 0:
        _begin(connection)
    pending = [migration for migration in migrations() if migration.version > version]
    for number, migration in enumerate(pending, 1):
        # Of a database that is being made there is nothing to tell.
        step = f"step {number} of {len(pending)}, {migration.name}" if version else None
        with _progress(connection, step, tell):
            _apply(connection, migration)
    if not pending:
        # Changes nothing, and fails now rather than at the first row if the file is read-only.
        connection.execute("DELETE FROM schema_migrations WHERE version < 0")
    return pending


@contextmanager
def _progress(connection: sqlite3.Connection, step: str | None, tell: Tell) -> Iterator[None]:
    if step is None:
        yield
        return
    began = told = time.monotonic()

    def go_on() -> None:
        nonlocal told
        if (now := time.monotonic()) - told >= TELL_EVERY_S:
            told = now
            tell(f"migrating, {step}: {now - began:.0f} s so far")

    tell(f"migrating, {step}")
    connection.set_progress_handler(go_on, _STEPS_BETWEEN_LOOKS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


def _begin(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(_MARK_AS_OURS)
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations ("
        "version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT"
    )
    connection.execute("COMMIT")


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _statements(migration.path.read_text(encoding="utf-8")):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO schema_migrations (version, name, applied_at) VALUES (?, ?, ?)",
            (migration.version, migration.name, utc_text(time.time())),
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    """Split a script, since sqlite3's own `executescript` would commit our transaction."""
    statement = ""
    for piece in re.split("(?<=;)", script):
        statement += piece
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def _create(path: Path) -> None:
    """Create the file with our mode, which SQLite's own -wal and -shm files then copy.

    An existing file is not opened here: closing it again would drop the locks that SQLite holds
    elsewhere in this process (https://sqlite.org/howtocorrupt.html, 2.2).
    """
    if not path.exists():
        os.close(platform.open_private(path, os.O_RDWR | os.O_CREAT | os.O_EXCL))


def _warn_if_readable_by_others(path: Path) -> None:
    if sys.platform != "win32" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        log.warning("%s can be read by other users; `chmod 600` it", path)
