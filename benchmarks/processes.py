"""Programs that are started for a measurement, each on its core, and ended whatever happens."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent

_START_S = 60.0
_STOP_S = 15.0
_POLL_S = 0.01
_LAST_WORDS = 1500  # of a traceback that is longer
_URL = re.compile(r"https?://127\.0\.0\.1:\d+[^\s,]*")
# All that a program gets of the environment it is started from. Settings, proxies and what makes
# Python, aiohttp or a C library slow (PYTHONDONTWRITEBYTECODE, AIOHTTP_NO_EXTENSIONS, LD_PRELOAD)
# are whoever's who runs this, and not to be measured.
_KEPT = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|(LD|DYLD)_LIBRARY_PATH|PYTHONHOME"
)


class Failed(Exception):
    """A program did not start, or did not do what it was started for."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core runs what: the tested program has one for itself wherever there are two."""

    tested: int
    upstream: int
    load: int


def cores_of_this_machine() -> Cores | None:
    """Return where to run, None where processes cannot be tied to cores."""
    if sys.platform != "linux":
        return None
    cores = sorted(os.sched_getaffinity(0))
    return Cores(cores[0], cores[min(1, len(cores) - 1)], cores[min(2, len(cores) - 1)])


@dataclass(frozen=True, slots=True)
class Program:
    """A running process, and the URLs that it said when it was ready."""

    process: subprocess.Popen[bytes]
    urls: tuple[str, ...]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return self.urls[0]


class Processes:
    """Started programs; leaving the block ends the latest first and waits until all are gone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._running:
            _end(self._running.pop())

    def start(
        self,
        command: Sequence[str],
        core: int | None,
        *,
        environ: Mapping[str, str] | None = None,
        folder: Path = ROOT,
        url: str | None = None,
    ) -> Program:
        """Start a program and wait until it says its URL, or until connections to `url` succeed."""
        process, said, logged = self._popen(command, core, environ or {}, folder)
        if urls := _await_ready(process, said, url):
            return Program(process, urls)
        state = "said nothing" if process.poll() is None else "ended"
        words = (said.read_text(errors="replace") + logged.read_text(errors="replace")).strip()
        raise Failed(f"{' '.join(command)} {state}: {words[-_LAST_WORDS:] or 'no word'}")

    def launch(
        self, command: Sequence[str], core: int | None, environ: Mapping[str, str], folder: Path
    ) -> int:
        """Start a program and return its process id at once."""
        return self._popen(command, core, environ, folder)[0].pid

    def _popen(
        self, command: Sequence[str], core: int | None, environ: Mapping[str, str], folder: Path
    ) -> tuple[subprocess.Popen[bytes], Path, Path]:
        number = len(list(self._folder.glob("*.out")))
        said, logged = self._folder / f"{number}.out", self._folder / f"{number}.err"
        with said.open("wb") as stdout, logged.open("wb") as stderr:
            process = subprocess.Popen(
                on_core(core, command),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=folder,
                env=clean_environ() | dict(environ),
                start_new_session=True,  # Ctrl-C is for this process to deal with
            )
        self._running.append(process)
        return process, said, logged


def python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)


def free_address() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        host, port = found.getsockname()
    return f"{host}:{port}"


def place_of(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def on_core(core: int | None, command: Sequence[str]) -> list[str]:
    if core is None:
        return list(command)
    return [sys.executable, "-m", "benchmarks.child", str(core), *command]


def clean_environ() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if _KEPT.fullmatch(name)}
    return kept | {"PYTHONPATH": str(ROOT)}


def _await_ready(process: subprocess.Popen[bytes], said: Path, url: str | None) -> tuple[str, ...]:
    ends = time.monotonic() + _START_S
    while time.monotonic() < ends and process.poll() is None:
        if url is not None:
            if _answers(url):
                return (url,)
        else:
            lines = said.read_text(errors="replace").rpartition("\n")[0]
            if urls := _URL.findall(lines):
                return tuple(urls)
        time.sleep(_POLL_S)
    return ()


def _answers(url: str) -> bool:
    place = urlsplit(url)
    with suppress(OSError), socket.create_connection((place.hostname, place.port), 1):
        return True
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a program to end; after a while end it, and what it may have started, without asking."""
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        if sys.platform != "win32":
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
