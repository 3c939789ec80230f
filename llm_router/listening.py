"""The sockets that the router listens on, bound before anything else has begun."""

import errno
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

from llm_router.errors import RouterError
from llm_router.settings import ServerSettings

_FIRST_PASSED_FD = 3  # SD_LISTEN_FDS_START


def bind(server: ServerSettings) -> list[socket.socket]:
    """Return a bound socket for each address of the host; the first names the port.

    Where a service manager keeps the sockets (`man sd_listen_fds`), they are those: who connects
    between two routers then waits in a queue instead of being refused.

    RouterError, and nothing left open, where one cannot be had.
    """
    sockets = _inherited(server)
    if sockets:
        return sockets
    try:
        for family, kind, protocol, _, address in _addresses(server):
            try:
                sockets.append(_bound(family, kind, protocol, address))
            except OSError as exc:
                # A name may stand for an IPv6 address that this machine does not have.
                if exc.errno != errno.EADDRNOTAVAIL or not sockets:
                    raise
    except OSError as exc:
        for sock in sockets:
            sock.close()
        raise cannot_listen(server, exc) from exc
    return sockets


def _inherited(server: ServerSettings) -> list[socket.socket]:
    """Return the sockets that were passed to this very process, if any."""
    meant_for, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    if meant_for != str(os.getpid()) or not count.isdecimal():
        return []
    sockets = [socket.socket(fileno=_FIRST_PASSED_FD + n) for n in range(int(count))]
    expected = {address[:2] for *_, address in _addresses(server)}
    for sock in sockets:
        sock.setblocking(False)
        sock.set_inheritable(False)
        host, port = sock.getsockname()[:2]
        # What may be reached from outside is decided, and checked for keys, by the settings.
        if (host, server.port and port) not in expected:
            for each in sockets:
                each.close()
            raise RouterError(
                f"the service manager passes a socket at {host}:{port}, the settings say "
                f"{server.host}:{server.port}; let both name the same address"
            )
    return sockets


def url(sockets: Sequence[socket.socket]) -> str:
    """Return where the first of the sockets is reached."""
    host, port = sockets[0].getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def cannot_listen(server: ServerSettings, exc: OSError) -> RouterError:
    if exc.errno == errno.EADDRINUSE:
        advice = "Stop what uses it, or choose another with --port or ROUTER_PORT."
    elif exc.errno == errno.EACCES:
        advice = "Choose another with --port or ROUTER_PORT."
    else:
        advice = "Choose an address of this machine with --host or ROUTER_HOST."
    return RouterError(f"cannot listen on {server.host}:{server.port}: {reason(exc)}. {advice}")


def reason(exc: OSError) -> str:
    """Return what the system says, without the address that asyncio wraps it in."""
    number = exc.errno or 0
    return os.strerror(number) if number > 0 else exc.strerror or str(exc)


def _addresses(
    server: ServerSettings,
) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]]:
    found = socket.getaddrinfo(
        server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    # IPv4 first: its loopback address is the one that every machine has.
    return sorted(found, key=lambda info: info[0] != socket.AF_INET)


def _bound(
    family: socket.AddressFamily, kind: socket.SocketKind, protocol: int, address: tuple[Any, ...]
) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        if sys.platform != "win32":  # where it would let two programs share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock
