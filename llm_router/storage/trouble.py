"""What SQLite's errors mean for whoever runs the router, as one sentence each."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from llm_router.errors import StorageError

_DAMAGED = (
    "is damaged; nothing was overwritten. Stop the router, keep a copy, "
    "then restore a backup or try `sqlite3 FILE .recover`"
)
_ADVICE = {
    sqlite3.SQLITE_NOTADB: "is not a SQLite database; move it away or choose another ledger.path",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_READONLY: "cannot be written; check its owner and permissions and its folder's",
    sqlite3.SQLITE_READONLY_ROLLBACK: "was left by another program in the middle of a change; let "
    "that program open it first, or choose another ledger.path",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check that it exists and that the router may read "
    "and write it and its folder",
    sqlite3.SQLITE_PERM: "cannot be used; check its owner and permissions and its folder's",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full; free some space",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reports an error",
    sqlite3.SQLITE_BUSY: "is locked by another program; end that program's transaction",
    sqlite3.SQLITE_LOCKED: "is locked by another program; end that program's transaction",
    sqlite3.SQLITE_INTERRUPT: "took too long to answer; ask for a shorter period",
}


# What calls of sqlite3 raise. It finds text that is not UTF-8 in a damaged file only.
TROUBLE = (sqlite3.Error, UnicodeDecodeError)


def explain(path: Path, error: Exception) -> StorageError:
    """Return what to raise `from error`: the file, what is wrong, what to do."""
    code = getattr(error, "sqlite_errorcode", 0)
    if isinstance(error, UnicodeDecodeError):
        code = sqlite3.SQLITE_CORRUPT
    advice = _ADVICE.get(code) or _ADVICE.get(code & 0xFF)
    if advice is None:
        return StorageError(f"database {path}: {error}")
    return StorageError(f"database {path} {advice} ({error})")


@contextmanager
def trusting(what: str) -> Iterator[None]:
    """Take what cannot be read of rows that only we write for damage: StorageError."""
    try:
        yield
    except (TypeError, ValueError, OverflowError, msgspec.DecodeError) as exc:
        raise StorageError(f"what the database says of {what} {_DAMAGED} ({exc})") from exc


def explain_os(path: Path, error: OSError) -> StorageError:
    """Return what to raise when the file system refused before SQLite was asked."""
    reason = error.strerror or str(error)
    return StorageError(
        f"{path}: {reason}; the router must be able to read and write it and its folder"
    )
