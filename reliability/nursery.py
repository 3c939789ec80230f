"""A process that forks routers: an interpreter that has everything imported starts one in moments.

    python -m reliability.nursery FD

A datagram on the socket FD is an order, JSON with `folder` and `environ` and the descriptors for
stdout, stderr and perhaps a listening socket; the answer is the new router's pid.
"""

import ctypes
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from llm_router import app, serving
from llm_router.cli import main, serve

PRELOADED = (app, serving, serve)
_PR_SET_PDEATHSIG = 1
_SD_LISTEN_FDS_START = 3


def attend(orders: socket.socket) -> None:
    """Fork until nobody orders any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are buried by the kernel
    while True:
        order, fds, _, _ = socket.recv_fds(orders, 65_536, 3)
        if not order:
            return
        pid = os.fork()
        if pid == 0:
            orders.close()
            os._exit(_live(json.loads(order), fds))
        for fd in fds:
            os.close(fd)
        orders.send(str(pid).encode())


def _live(order: dict[str, Any], fds: list[int]) -> int:
    """Be `llm-router serve` in this forked process; return its exit status."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(fds[0], 1)
    os.dup2(fds[1], 2)
    environ: dict[str, str] = order["environ"]
    if len(fds) > 2:
        os.dup2(fds[2], _SD_LISTEN_FDS_START)
        environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    for fd in fds:
        if fd > _SD_LISTEN_FDS_START:
            os.close(fd)
    os.environ.update(environ)
    os.chdir(Path(order["folder"]))
    status = 1
    try:
        status = main(["serve"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return status


if __name__ == "__main__":
    attend(socket.socket(fileno=int(sys.argv[1])))
