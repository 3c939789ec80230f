"""The unix socket of the ledger process: a file that only its owner can use, beside the journals.

Whoever holds the writer's lock owns the name, so one that is there already is a dead process's.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = "ledger.sock"
_BACKLOG = 128


def listen(folder: Path) -> socket.socket:
    """Return the socket on which workers call; OSError if it cannot be made."""
    (folder / _NAME).unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(folder) as path:
            umask = os.umask(0o177)
            try:
                sock.bind(path)
            finally:
                os.umask(umask)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def call(folder: Path) -> socket.socket:
    """Return a connected socket; OSError while nobody listens."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        with _short(folder) as path:
            sock.connect(path)  # at once or never, on a unix socket
    except OSError:
        sock.close()
        raise
    return sock


def remove(folder: Path) -> None:
    (folder / _NAME).unlink(missing_ok=True)


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    """Name the socket through a descriptor: its own path may exceed the 107 bytes allowed."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}/{_NAME}"
    finally:
        os.close(fd)
