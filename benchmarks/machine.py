"""What the figures were taken on, for whoever reads them elsewhere."""

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.entrants import Tools
from benchmarks.processes import ROOT, cores_of_this_machine
from llm_router import __version__

_QUIET = 0.5


def facts(tools: Tools) -> dict[str, str]:
    found = {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": f"aiohttp {version('aiohttp')}, {_loop()}",
        "llm-router": f"{__version__}{_commit()}",
    }
    if tools.nginx:
        found["nginx"] = _said(tools.nginx, "-v")
    if tools.litellm:
        found["LiteLLM"] = _said(tools.litellm, "--version")
    return found


def doubts(tools: Tools) -> list[str]:
    """Return what speaks against the figures of a run that begins now."""
    found = []
    cores = cores_of_this_machine()
    if cores is None:
        found.append("Processes are not tied to cores here, and what they cost is not known.")
    elif cores.tested == cores.upstream:
        found.append("One core for everything: latencies and rates include the load generator's.")
    if not tools.openssl:
        found.append("There is no openssl to make a certificate with: no rows with TLS.")
    if hasattr(os, "getloadavg") and (busy := os.getloadavg()[0]) > _QUIET:
        found.append(f"This machine is busy (load {busy:.1f}); compare ratios only, or wait.")
    return found


def _loop() -> str:
    try:
        return f"uvloop {version('uvloop')}"
    except PackageNotFoundError:
        return "asyncio"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _commit() -> str:
    """Return the commit in brackets where this is a clone, with a + where files have changed."""
    command = ("git", "describe", "--always", "--dirty=+", "--exclude=*")
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f" ({done.stdout.strip()})"


def _said(*command: str) -> str:
    """Return the number in what a program says about its version."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "of an unknown version"
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else "of an unknown version"
