"""A piece of a test in a network and a mount namespace of its own, where names and routes are ours.

    run_isolated(program, "argument", resolver="127.0.0.1")

The program is Python text for a fresh interpreter; what it prints comes back.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ENTER = """
ip link set lo up
mount --bind "$1" /etc/resolv.conf
shift
exec "$@"
"""


def run_isolated(program: str, folder: Path, *arguments: str, timeout_s: float = 60) -> str:
    """Run a program whose resolver asks 127.0.0.1; skips where namespaces are not allowed."""
    resolv = folder / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\noptions timeout:5 attempts:2\n")
    command = [sys.executable, "-c", program, *arguments]
    unshare = shutil.which("unshare")
    if unshare is None or shutil.which("ip") is None:
        pytest.skip("this needs the commands unshare and ip")
    probe = [unshare, "-rnm", "true"]
    if subprocess.run(probe, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not allow namespaces")
    done = subprocess.run(
        [unshare, "-rnm", "sh", "-ec", _ENTER, "sh", str(resolv), *command],
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        cwd=Path.cwd(),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
