"""What is measured of processes from outside."""

import os
import subprocess
import sys

import pytest

from benchmarks import memory, proc, soak, starts
from benchmarks.table import render

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_starts_and_open_streams_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "_RUNS_A_ROUND", 1)
    monkeypatch.setattr(starts, "_SETTINGS", {"one process": {}})
    assert "| one process |" in render(starts.run(1))
    monkeypatch.setattr(memory, "_STREAMS", (3, 5))
    monkeypatch.setattr(memory, "_SETTLE_S", 0.1)
    rows = [
        line.split() for line in render(memory.run(1, None)).splitlines() if line.startswith("| ")
    ]
    assert [row[4] for row in rows if "round" in row] == ["3", "5"]
    assert [row for row in rows if "closed" in row]


def test_a_soak_says_what_a_router_held_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "_SAMPLES", 2)
    monkeypatch.setattr(soak, "_LEAVING", 3)
    lines = render(soak.run(0.4, None)).splitlines()
    assert [line.split()[1] for line in lines if ":0" in line] == ["0:00", "0:00", "0:00"]
    assert "6 clients that left" in lines[-1]


def test_a_tree_is_a_process_and_its_children() -> None:
    command = (sys.executable, "-c", "print(sum(range(3_000_000)), flush=True); input()")
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in proc.tree(os.getpid())
        assert sum(proc.cpu_s(child.pid).values()) > 0
        assert (proc.memory_mb(child.pid) or 0) > 0
        child.stdin.close()
    assert proc.tree(child.pid) == []
    assert proc.cpu_s(child.pid) == {}
