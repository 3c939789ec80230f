"""How long `llm-router serve` takes from its start to its first answer."""

import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks import proc
from benchmarks.processes import Failed, Processes, free_address, place_of, python
from benchmarks.table import Table, render

NAME = "start"
TITLE = "From the start of a process to the first answer of /health"
_RUNS_A_ROUND = 3
_PATIENCE_S = 60.0
_POLL_S = 0.002
_ASK = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
_SETTINGS = {
    "one process": {},
    "2 workers": {"LLM_ROUTER_SERVER__WORKERS": "2"},
}


def run(rounds: int) -> Table:
    """Start the router again and again on a database that is there, and return a table.

    It has all cores, and no program that ties it to one: that would be a start of its own.
    """
    rows = []
    with tempfile.TemporaryDirectory(prefix="llm-router-benchmark-") as name:
        folder = Path(name)
        for title, settings in _SETTINGS.items():
            _started(folder, settings)  # makes the database, and the bytecode that pip would make
            found = [_started(folder, settings) for _ in range(rounds * _RUNS_A_ROUND)]
            took, cpu = [ms for ms, _ in found], [ms for _, ms in found]
            span = f"{min(took):.0f} to {max(took):.0f}"
            rows.append([title, f"{median(took):.0f}", span, f"{median(cpu):.0f}"])
    return Table(NAME, TITLE, ["", "median ms", "lowest to highest", "CPU ms"], rows)


def _started(folder: Path, settings: dict[str, str]) -> tuple[float, float]:
    """Return milliseconds on the clock and of CPU, of the process and those it started."""
    address = free_address()
    environ = {
        "OPENROUTER_API_KEY": "benchmark",
        "OPENROUTER_BASE_URL": f"http://{free_address()}",  # where nobody answers
        "OLLAMA_BASE_URL": f"http://{free_address()}",
        "ROUTER_PORT": address.rpartition(":")[2],
        **settings,
    }
    with Processes(folder) as processes:
        began = time.monotonic()
        pid = processes.launch(python("llm_router", "serve"), None, environ, folder)
        for _ in _until(began + _PATIENCE_S):
            if _answers(address):
                took_ms = (time.monotonic() - began) * 1000
                return took_ms, sum(proc.cpu_s(pid).values()) * 1000
    raise Failed("the router did not start")


def _until(ends: float) -> Iterator[None]:
    while time.monotonic() < ends:
        yield
        time.sleep(_POLL_S)


def _answers(address: str) -> bool:
    try:
        with socket.create_connection(place_of(address), 5) as sock:
            sock.sendall(_ASK)
            return sock.recv(64).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


if __name__ == "__main__":
    sys.stdout.write(render(run(5)))
