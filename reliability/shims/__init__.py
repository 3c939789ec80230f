"""Small C libraries for LD_PRELOAD, between a program and the system, built when needed."""

import shutil
import subprocess
from pathlib import Path

_SOURCES = Path(__file__).parent


def compiler() -> str | None:
    """Return a C compiler of this machine, if it has one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def build(name: str, folder: Path) -> Path:
    """Compile `name`.c into `folder`; RuntimeError where that cannot be done."""
    if (cc := compiler()) is None:
        raise RuntimeError("there is no C compiler here; install gcc or clang")
    library = folder / f"{name}.so"
    command = [cc, "-O1", "-Wall", "-shared", "-fPIC", "-o", str(library)]
    command += [str(_SOURCES / f"{name}.c"), "-ldl", "-lpthread"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name}.c does not compile here: {done.stderr}")
    return library
