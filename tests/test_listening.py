"""The sockets behind an address."""

import errno
import os
import socket
from collections.abc import Iterator

import pytest

from llm_router import listening
from llm_router.errors import RouterError
from llm_router.settings import ServerSettings


def test_an_address_gets_a_socket_that_takes_nothing_yet() -> None:
    [sock] = listening.bind(ServerSettings(port=0))
    with sock:
        assert listening.url([sock]) == f"http://127.0.0.1:{sock.getsockname()[1]}"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(sock.getsockname(), timeout=5)


def test_a_name_with_two_addresses_gets_both_and_is_called_by_the_first() -> None:
    sockets = listening.bind(ServerSettings(host="localhost", port=0))
    assert listening.url(sockets).startswith("http://127.0.0.1:")
    for sock in sockets:
        sock.close()


def test_an_address_that_this_machine_lacks_is_left_out_beside_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    info = (socket.SOCK_STREAM, 0, "")
    foreign = (socket.AF_INET, *info, ("203.0.113.9", 0))
    ours = (socket.AF_INET, *info, ("127.0.0.1", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [ours, foreign])
    [sock] = listening.bind(ServerSettings(host="two.test", port=0))
    sock.close()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [foreign])
    with pytest.raises(RouterError, match=r"cannot listen on two\.test:0"):
        listening.bind(ServerSettings(host="two.test", port=0))


def test_nothing_stays_open_where_one_of_two_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """F79"""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        free = socket.socket()
        free.bind(("127.0.0.1", 0))
        spare = free.getsockname()
        free.close()
        info = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
        found = [(*info, spare), (*info, ("127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with pytest.raises(RouterError, match="Address already in use") as caught:
            listening.bind(ServerSettings(port=port))
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EADDRINUSE
    socket.create_server(spare).close()


def test_a_host_that_nobody_knows_is_said() -> None:
    with pytest.raises(RouterError, match=r"cannot listen on nobody\.invalid:0: .* --host or "):
        listening.bind(ServerSettings(host="nobody.invalid", port=0))


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A service manager has bound a port and passes it to this process; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as kept:
        monkeypatch.setattr(listening, "_FIRST_PASSED_FD", os.dup(kept.fileno()))
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", "1")
        yield kept.getsockname()[1]


def test_a_socket_that_the_service_manager_keeps_is_taken_once(passed: int) -> None:
    """F66: who connects between two routers waits in its queue."""
    [sock] = listening.bind(ServerSettings(port=passed))
    with sock:
        assert listening.url([sock]) == f"http://127.0.0.1:{passed}"
        assert not sock.get_inheritable()
    assert "LISTEN_FDS" not in os.environ, "what this process starts would take them for its own"


def test_a_socket_for_another_process_is_left_alone(
    passed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_PID", "1")
    with pytest.raises(RouterError, match="in use"):
        listening.bind(ServerSettings(port=passed))


@pytest.mark.parametrize(("host", "offset"), [("127.0.0.2", 0), ("127.0.0.1", 1)])
def test_a_socket_at_another_address_than_configured_is_refused(
    passed: int, host: str, offset: int
) -> None:
    """T02: what can be reached from outside must have keys, and the settings decide on that."""
    with pytest.raises(RouterError, match="let both name the same address"):
        listening.bind(ServerSettings(host=host, port=passed + offset))
