"""What runs here, and whether any of it is older than it may be."""

import platform
import re
import sqlite3
import sys
from importlib import metadata
from typing import Any

from llm_router import __version__
from llm_router.web.parser import NO_STRICT_PARSER, has_strict_parser

_REQUIREMENT = re.compile(r"([\w.-]+)>=([\d.]+)(;.*)?")
_WAL_BUG = "has the WAL bug fixed in 3.51.3; harmless while only the router writes the database"
_MISSING = "missing"


def versions() -> dict[str, Any]:
    """Return what a bug report must name: ourselves, Python, our packages, SQLite, the system."""
    found = {"llm-router": __version__, "python": platform.python_version()}
    for package in floors():
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = _MISSING
    major, minor, patch = sqlite3.sqlite_version_info[:3]
    note = f" ({_WAL_BUG})" if has_wal_bug((major, minor, patch)) else ""
    found["sqlite"] = sqlite3.sqlite_version + note
    found["aiohttp parser"] = "C" if has_strict_parser() else "Python"
    found["platform"] = platform.platform()
    return found


def version_problems(found: dict[str, Any]) -> list[str]:
    """Say what of `versions()` has known holes; what is optional may be missing."""
    problems = []
    for package, (floor, is_optional) in floors().items():
        is_missing = found[package] == _MISSING
        if is_missing and is_optional:
            continue
        if is_missing or _numbers(found[package]) < _numbers(floor):
            problems.append(
                f"{package} {found[package]} is older than it may be; install {floor} or newer"
            )
    if found["aiohttp parser"] != "C":
        problems.append(NO_STRICT_PARSER)
    return problems


def floors() -> dict[str, tuple[str, bool]]:
    """Return package → lowest version and whether we can do without, as pyproject.toml says.

    Empty where nothing was installed, as in a bare copy of the sources.
    """
    try:
        required = metadata.requires("llm-router") or []
    except metadata.PackageNotFoundError:
        return {}
    found = {}
    for text in required:
        match = _REQUIREMENT.fullmatch(text.replace(" ", ""))
        if match and "extra==" not in (match[3] or ""):
            found[match[1]] = match[2], match[3] is not None
    return found


def has_wal_bug(version: tuple[int, int, int]) -> bool:
    """Return whether several writers at once may corrupt a WAL database.

    See https://sqlite.org/wal.html#walresetbug: fixed in 3.51.3, 3.50.7 and 3.44.6.
    """
    fixed_in_branch = {(3, 50): 7, (3, 44): 6}
    major, minor, patch = version
    return version < (3, 51, 3) and patch < fixed_in_branch.get((major, minor), sys.maxsize)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
