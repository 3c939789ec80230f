"""Keeping made-up numbers and real ones apart, although both begin as router.db.

A demo leaves a mark in the journal folder of its ledger. By it the next demo knows that the ledger
is its own to write into, and `serve` that it is not.
"""

import shutil
from pathlib import Path

from llm_router.errors import StorageError
from llm_router.storage.lock import journal_folder, writer_lock
from llm_router.storage.trouble import explain_os

_MARK = "demo"
_SQLITE_FILES = ("-wal", "-shm", "")


def own_ledger(path: Path) -> Path:
    """Return where a demo may keep its books: at `path`, unless somebody else's lie there."""
    if path.exists() and not _is_demo(path):
        path = _aside(path)
    journals = journal_folder(path)
    try:
        journals.mkdir(mode=0o700, exist_ok=True)
        (journals / _MARK).touch()
    except OSError as exc:
        raise explain_os(journals, exc) from exc
    return path


def set_aside(path: Path) -> Path | None:
    """Move a demo's ledger out of a real one's way; return where it is now, None if there is none.

    StorageError when the demo still runs, or when what lies in the way is not a demo's.
    """
    if not _is_demo(path):
        return None
    aside = _aside(path)
    if aside.exists() and not _is_demo(aside):
        raise StorageError(
            f"{path} holds a demo's numbers and cannot become {aside}, which exists; "
            "move one of them, or choose another ROUTER_DB"
        )
    try:
        with writer_lock(path):
            for suffix in _SQLITE_FILES:
                _move(path.with_name(path.name + suffix), aside.with_name(aside.name + suffix))
        # Last: as long as the mark is here, an interrupted move is taken up again.
        shutil.rmtree(journal_folder(aside), ignore_errors=True)
        journal_folder(path).rename(journal_folder(aside))
    except OSError as exc:
        raise explain_os(path, exc) from exc
    return aside


def _is_demo(path: Path) -> bool:
    return (journal_folder(path) / _MARK).exists()


def _aside(path: Path) -> Path:
    return path.with_name("demo-" + path.name)


def _move(source: Path, target: Path) -> None:
    if source.exists():
        source.replace(target)
    else:
        target.unlink(missing_ok=True)
