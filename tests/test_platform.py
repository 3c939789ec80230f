"""What differs between systems, and what is done where it is missing."""

import importlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from llm_router import platform


@pytest.fixture
def reloaded() -> Iterator[None]:
    """Undo what a test made of the module by loading it anew."""
    yield
    importlib.reload(platform)


def test_the_clock_goes_on() -> None:
    first = platform.boot_time()
    assert first <= platform.boot_time()


@pytest.mark.usefixtures("reloaded")
def test_without_a_boot_clock_the_monotonic_one_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    importlib.reload(platform)
    assert abs(platform.boot_time() - time.monotonic()) < 60


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no boot clock")
def test_the_boot_clock_counts_sleep() -> None:
    """F78"""
    assert abs(platform.boot_time() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60


@pytest.mark.parametrize(
    ("text", "expected"), [("0c4f-11\n", "0c4f-11"), ("\n", None), (None, None)]
)
def test_the_boots_name_is_what_the_system_says(
    text: str | None, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "boot_id"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(platform, "_BOOT_ID", file)
    assert platform.boot_id() == expected


def test_a_lock_is_one_processes_and_ends_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("wb") as mine:
        assert platform.try_lock(mine)
        with path.open("wb") as other:
            assert not platform.try_lock(other)
            assert not platform.try_lock(other.fileno())
    with path.open("wb") as later:
        assert platform.try_lock(later)


@pytest.mark.usefixtures("reloaded")
def test_windows_locks_a_byte_far_behind_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock there keeps everybody from reading what it covers."""
    calls: list[tuple[int, int, int]] = []

    class Msvcrt:
        LK_NBLCK = 2

        @staticmethod
        def locking(fd: int, mode: int, count: int) -> None:
            calls.append((os.lseek(fd, 0, os.SEEK_CUR), mode, count))
            if len(calls) > 1:
                raise OSError(13, "locked")

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "msvcrt", cast(Any, Msvcrt))
    importlib.reload(platform)
    with (tmp_path / "lock").open("wb") as file:
        file.seek(7)
        assert platform.try_lock(file)
        assert file.tell() == 7
        assert not platform.try_lock(file)
        assert file.tell() == 7
    assert calls == [(1 << 40, 2, 1)] * 2


def test_private_files_are_the_owners_alone(tmp_path: Path) -> None:
    """T38"""
    path = tmp_path / "private"
    fd = platform.open_private(path, os.O_CREAT | os.O_WRONLY)
    try:
        assert not os.get_inheritable(fd)
        assert path.stat().st_mode & 0o077 == 0
    finally:
        os.close(fd)


class Transport:
    def __init__(self, unsent: int, sock: socket.socket | None) -> None:
        self.unsent = unsent
        self.sock = sock

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, name: str) -> socket.socket | None:
        assert name == "socket"
        return self.sock


def untaken(unsent: int, sock: socket.socket | None) -> int:
    return platform.untaken_bytes(cast(Any, Transport(unsent, sock)))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says")
def test_what_the_kernel_holds_for_a_client_counts_as_not_taken() -> None:
    """F52"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
        with ours, theirs:
            ours.setblocking(False)
            sent = 0
            while True:
                try:
                    sent += ours.send(b"x" * 65_536)
                except BlockingIOError:
                    break
            assert 1 < untaken(1, ours) <= sent + 1
            assert untaken(0, ours) == 0, "then it is no memory of ours"


def test_where_nobody_knows_our_own_buffer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = socket.socket()
    closed.close()
    assert untaken(9, None) == 9
    assert untaken(9, closed) == 9


@pytest.mark.usefixtures("reloaded")
def test_elsewhere_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    importlib.reload(platform)
    with socket.socket() as sock:
        assert untaken(9, sock) == 9
