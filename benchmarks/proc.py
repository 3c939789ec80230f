"""What a process and its children have cost so far, from /proc; None where there is none."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_PSS = re.compile(r"^Pss: +(\d+) kB", re.MULTILINE)


def cpu_s(pid: int) -> dict[int, float]:
    """Return the seconds of CPU, user and system, that each process of the tree has used."""
    second = os.sysconf("SC_CLK_TCK") if _PROC.is_dir() else 1
    return {member: _ticks(member) / second for member in tree(pid)}


def memory_mb(pid: int) -> float | None:
    """Return the tree's proportional set size: its own pages, and its share of shared ones."""
    kilobytes = [_pss_kb(member) for member in tree(pid)]
    return sum(kilobytes) / 1024 if kilobytes else None


def tree(pid: int) -> list[int]:
    """Return a process and all that descend from it; nothing where /proc is missing."""
    children: dict[int, list[int]] = {}
    for member in _processes():
        if fields := _stat(member):
            children.setdefault(int(fields[1]), []).append(member)
    found, ahead = [], [pid] if _stat(pid) else []
    while ahead:
        member = ahead.pop()
        found.append(member)
        ahead += children.get(member, ())
    return found


def _processes() -> Iterator[int]:
    if _PROC.is_dir():
        yield from (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def _stat(pid: int) -> list[str]:
    """Return what follows the name in /proc/PID/stat: state, parent, …; nothing once it is gone."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()  # the name may hold spaces and brackets


def _ticks(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[11]) + int(fields[12]) if fields else 0


def _pss_kb(pid: int) -> int:
    try:
        found = _PSS.search((_PROC / str(pid) / "smaps_rollup").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0
