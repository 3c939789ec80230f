"""What differs between operating systems, in one place and with fallbacks.

Linux is the home. macOS and Windows lack CLOCK_BOOTTIME, the boot id and a way to ask what a
connection's peer has taken; Windows also lacks `fcntl`, so its file locks come from `msvcrt`.
"""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)

if sys.platform == "win32":
    import msvcrt

    def forbid_core_dumps() -> None:
        """Windows writes none unless somebody has asked for them."""

    def descriptor_limit() -> int:
        """Return how many sockets and files there may be; Windows has room for many."""
        return 1 << 20

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
    import resource

    def forbid_core_dumps() -> None:
        """Keep what is in memory, keys and prompts among it, off the disk if we should crash."""
        with suppress(ValueError, OSError):  # where even lowering a limit is not ours to do
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def descriptor_limit() -> int:
        """Ask for as many sockets and files as are allowed, and return how many that are.

        What shells and service managers set, often 1024, is for programs that use select().
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with suppress(ValueError, OSError):  # macOS says "unlimited" and means less
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        return 1 << 20 if soft == resource.RLIM_INFINITY else soft

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


if sys.platform == "linux":
    import termios

    def _unacknowledged(fd: int) -> int:
        """SIOCOUTQ, as tcp(7) describes it."""
        return int.from_bytes(fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
else:

    def _unacknowledged(fd: int) -> int:
        return 0


def untaken_bytes(transport: "asyncio.WriteTransport") -> int:
    """Return how much of what was written has not reached the other end.

    The kernel takes megabytes at a time, so our own buffer may stand still for a minute while a
    slow client reads all the while.
    """
    unsent = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    if not unsent or sock is None:
        return unsent
    try:
        return unsent + _unacknowledged(sock.fileno())
    except (OSError, ValueError):  # closed already
        return unsent


# Monotonic seconds that, where possible, count while the machine sleeps.
boot_time: Callable[[], float] = (
    time.monotonic if _BOOTTIME is None else partial(time.clock_gettime, _BOOTTIME)
)


def boot_id() -> str | None:
    """Return what tells one boot from another, or None where the system does not say."""
    try:
        return _BOOT_ID.read_text().strip() or None
    except OSError:
        return None


# The ledger process is reached through /proc, and descriptors are handed on as Linux does it.
HAS_WORKERS = sys.platform == "linux"


def cores() -> int:
    """Return how many workers have a core for themselves."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


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
