"""What differs between operating systems, in one place and with fallbacks.

Linux is the home. macOS and Windows lack CLOCK_BOOTTIME and the boot id; Windows
also lacks `fcntl`, so its file locks come from `msvcrt`.
"""

import os
import sys
import time
from pathlib import Path
from typing import IO

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)

if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        # Far beyond the end: a lock on Windows keeps everybody from reading what it covers.
        position = os.lseek(fd, 0, os.SEEK_CUR)
        os.lseek(fd, 1 << 40, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(fd, position, os.SEEK_SET)
else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def boot_time() -> float:
    """Return monotonic seconds that, where possible, count while the machine sleeps."""
    return time.clock_gettime(_BOOTTIME) if _BOOTTIME is not None else time.monotonic()


def boot_id() -> str | None:
    """Return what tells one boot from another, or None where the system does not say."""
    try:
        return _BOOT_ID.read_text().strip() or None
    except OSError:
        return None


def try_lock(file: IO[bytes] | int) -> bool:
    """Take an exclusive lock that ends with the descriptor; False if another process has it."""
    fd = file if isinstance(file, int) else file.fileno()
    try:
        _lock(fd)
    except OSError:
        return False
    return True


def open_private(path: Path, flags: int) -> int:
    """Open a file that only its owner may read: the ledger says who asked what, and when."""
    # Windows would otherwise write a carriage return into every frame that holds a line feed.
    flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o600)
