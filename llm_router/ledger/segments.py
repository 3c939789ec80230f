"""The files a journal consists of: their names, their locks, their folder.

A process writes `<process>.<number>.journal`, one segment after the other, and holds the lock of
the one it writes. It locks the next before it lets go of the former, so a process lives exactly
as long as one of its segments is locked.
"""

import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from llm_router import platform

_NAME = re.compile(r"([0-9a-z-]+)\.(\d{6})\.journal")
_TRIES = 10


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    process: str
    number: int

    @property
    def name(self) -> str:
        return f"{self.process}.{self.number:06d}.journal"


def new_process() -> str:
    """Return a name that sorts by start and that no other process ever has."""
    return f"{time.time_ns() // 1_000_000:013d}-{os.getpid()}-{secrets.token_hex(4)}"


def listed(folder: Path) -> list[Segment]:
    """Return every segment in the folder, each process's in order."""
    return sorted(
        Segment(match[1], int(match[2]))
        for name in os.listdir(folder)  # noqa: PTH208 - no Path is needed, twenty times a second
        if (match := _NAME.fullmatch(name))
    )


def total_bytes(folder: Path) -> int:
    """Return the size of all segments in the folder; 0 if it cannot be looked at."""
    total = 0
    with suppress(OSError):
        for segment in listed(folder):
            with suppress(FileNotFoundError):  # removed meanwhile
                total += (folder / segment.name).stat().st_size
    return total


def create(folder: Path, process: str, number: int) -> tuple[Segment, int]:
    """Create and lock a process's next segment; return it and its descriptor, or raise OSError.

    Between creation and lock the ingesting process may take the empty file for a dead process's
    and remove it. Then the lock is busy or the file has no name any more, and the next number is
    as good.
    """
    for attempt in range(number, number + _TRIES):
        segment = Segment(process, attempt)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        fd = platform.open_private(folder / segment.name, flags)
        if platform.try_lock(fd) and os.fstat(fd).st_nlink > 0:
            return segment, fd
        os.close(fd)
    raise OSError("another process keeps locking our journal segments")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where the system can be asked to."""
    if sys.platform == "win32":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def held(folder: Path, found: Iterable[Segment]) -> Iterator[dict[Segment, int]]:
    """Lock those of the segments that nobody else has; give their descriptors.

    While we hold a new and still empty one, its maker cannot lock it, and takes another.
    """
    fds: dict[Segment, int] = {}
    try:
        for segment in found:
            with suppress(FileNotFoundError):
                fd = os.open(folder / segment.name, os.O_RDWR)
                if platform.try_lock(fd):
                    fds[segment] = fd
                else:
                    os.close(fd)
        yield fds
    finally:
        for fd in fds.values():
            os.close(fd)


def remove(path: Path, fd: int) -> None:
    """Delete a held segment and let go of it."""
    _let_go(fd, path.unlink)


def set_aside(path: Path, fd: int) -> Path:
    """Keep a held segment under a name that nobody reads, and let go of it."""
    aside = path.with_suffix(".damaged")
    _let_go(fd, partial(path.rename, aside))
    return aside


def _let_go(fd: int, change_name: Callable[[], object]) -> None:
    """Keep the lock until the name has changed; Windows changes none of an open file."""
    if sys.platform == "win32":
        os.close(fd)
        change_name()
    else:
        change_name()
        os.close(fd)
