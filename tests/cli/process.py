"""A command as the process it is, with an environment of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from llm_router import cli

PATIENCE_S = 30


@dataclass
class Running:
    """A server behind its ready line; `said` is what stood on stdout so far."""

    process: subprocess.Popen[str]
    url: str
    said: str

    def stop(self, how: signal.Signals) -> tuple[int, str]:
        """Send a signal; return exit status and stderr."""
        self.process.send_signal(how)
        _, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, err


def start(folder: Path, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "llm_router", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2]), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(folder: Path, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run a command that ends by itself; return exit status, stdout and stderr."""
    process = start(folder, *arguments, **environ)
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


@contextmanager
def serving(folder: Path, *arguments: str, until: str, **environ: str) -> Iterator[Running]:
    """Run a server; `until` begins the last line it says before it is of use."""
    process = start(folder, *arguments, ROUTER_PORT="0", **environ)
    assert process.stdout is not None
    said = ""
    try:
        for line in process.stdout:
            said += line
            if line.startswith(until):
                break
        found = re.search(r"serves at (http://[^\s;]+)", said)
        assert found, process.communicate(timeout=PATIENCE_S)
        yield Running(process, found[1], said)
    finally:
        process.kill()
        process.communicate()
