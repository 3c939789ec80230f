"""The lock that makes one process the writer of a database, and where that process can be found.

The lock file lies in the journal folder. Its lock ends with the process, however that ends; its
content says who holds it, so that other commands can name the process or call its address.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llm_router import platform
from llm_router.errors import StorageError
from llm_router.storage.trouble import explain_os

# Somebody who only looks holds the lock for a moment, which must not stop a start.
_TRIES = 5
_TRY_AGAIN_S = 0.02


def journal_folder(path: Path) -> Path:
    return path.with_name(path.name + "-journals")


def _lock_file(path: Path) -> Path:
    return journal_folder(path) / "writer.lock"


class WriterLock:
    """The lock, held. It is released by `writer_lock`, which made it."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd

    def announce(self, url: str | None = None, pid: int | None = None) -> None:
        """Write whom to stop to get the lock and, once requests are taken, under which address."""
        facts: dict[str, Any] = {"pid": os.getpid() if pid is None else pid}
        if url is not None:
            facts["url"] = url
        content = json.dumps(facts).encode()
        try:
            os.lseek(self._fd, 0, os.SEEK_SET)
            os.write(self._fd, content)
            os.ftruncate(self._fd, len(content))
        except OSError as exc:
            raise explain_os(self._path, exc) from exc


@contextmanager
def writer_lock(path: Path) -> Iterator[WriterLock]:
    """Be the only writer of the database at `path`; StorageError names another one."""
    fd = _open_lock_file(path)
    try:
        if not _try_hard(fd):
            raise StorageError(_taken(path, _facts(path)))
        lock = WriterLock(_lock_file(path), fd)
        lock.announce()
        yield lock
    finally:
        os.close(fd)


def running_server(path: Path) -> dict[str, Any] | None:
    """Return what the process that writes this database says of itself, or None without one.

    `pid` and, once it serves, `url`; both are missing in the instant before they are written.
    """
    try:
        fd = os.open(_lock_file(path), os.O_RDWR)
    except OSError:
        return None
    try:
        return None if platform.try_lock(fd) else _facts(path)
    finally:
        os.close(fd)


def check_place(path: Path) -> None:
    """Refuse a place where no database can be made. Raises StorageError."""
    if not path.parent.is_dir():
        raise StorageError(
            f"database {path}: the folder {path.parent} does not exist; "
            "create it or choose another ledger.path"
        )
    if path.is_dir():
        raise StorageError(f"database {path} is a folder; name a file in it as ledger.path")


def _open_lock_file(path: Path) -> int:
    check_place(path)
    lock_file = _lock_file(path)
    try:
        lock_file.parent.mkdir(mode=0o700, exist_ok=True)
        return platform.open_private(lock_file, os.O_RDWR | os.O_CREAT)
    except OSError as exc:
        raise explain_os(lock_file, exc) from exc


def _try_hard(fd: int) -> bool:
    for _ in range(_TRIES):
        if platform.try_lock(fd):
            return True
        time.sleep(_TRY_AGAIN_S)
    return False


def _facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(_lock_file(path).read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _taken(path: Path, facts: dict[str, Any]) -> str:
    who = f"process {facts['pid']}" if "pid" in facts else "another process"
    where = f" at {facts['url']}" if "url" in facts else ""
    return (
        f"database {path} is already written by {who}{where}; "
        "stop it first, or use another ledger.path"
    )
