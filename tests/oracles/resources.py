"""What a process holds: descriptors, threads, tasks and memory, before and after."""

import asyncio
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Held:
    """Descriptors by number and what they are, threads and tasks by name."""

    descriptors: Mapping[int, str]
    threads: frozenset[str]
    tasks: frozenset[str]

    def more_than(self, before: "Held") -> list[str]:
        """Return what is held now and was not held before."""
        new = {n: what for n, what in self.descriptors.items() if before.descriptors.get(n) != what}
        return [
            *(f"descriptor {number}: {what}" for number, what in new.items()),
            *(f"thread {name}" for name in self.threads - before.threads),
            *(f"task {name}" for name in self.tasks - before.tasks),
        ]


def held_here() -> Held:
    """Return what this process holds, on the running loop; the asker and idle workers aside."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    names = (thread.name for thread in threading.enumerate())
    return Held(
        descriptors(os.getpid()),
        frozenset(name for name in names if not name.startswith("asyncio_")),
        frozenset(f"{task.get_name()}: {task.get_coro()}" for task in tasks),
    )


def descriptors(pid: int) -> dict[int, str]:
    """Return the open descriptors of a process; none where the system does not tell."""
    found = {}
    folder = _PROC / str(pid) / "fd"
    for link in folder.iterdir() if folder.exists() else ():
        try:
            found[int(link.name)] = str(link.readlink())
        except OSError:  # closed meanwhile, like the one of this listing
            continue
    return found


def threads(pid: int) -> int:
    return sum(1 for _ in (_PROC / str(pid) / "task").iterdir())


def memory_kib(pid: int, field: str = "VmRSS") -> int:
    """Return a process's memory; VmHWM is the most it ever had."""
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise ValueError(f"no {field} in /proc/{pid}/status")


def forget_peak(pid: int) -> None:
    """Let VmHWM begin anew at what the process has now."""
    (_PROC / str(pid) / "clear_refs").write_text("5")
