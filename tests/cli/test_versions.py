"""What runs here must not be older than what we asked for."""

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from aiohttp import http_parser

from llm_router.cli import versions as module
from llm_router.cli.versions import floors, has_wal_bug, version_problems, versions

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_this_installation_is_above_the_floors() -> None:
    """T45: asserted at run time, not only in metadata."""
    assert version_problems(versions()) == []


def test_the_floors_are_those_we_ask_for() -> None:
    """T45"""
    asked = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    assert len(floors()) == len(asked)
    for text in asked:
        name, _, rest = text.partition(">=")
        version, _, marker = rest.partition(";")
        assert floors()[name] == (version, bool(marker))
    assert floors()["aiohttp"][0] == "3.14.3", "the last one with a hole that concerns us is .2"


@pytest.mark.parametrize(
    ("package", "version"),
    [("aiohttp", "3.14.2"), ("aiohttp", "3.9.5"), ("aiohttp", "missing"), ("msgspec", "0.19.9")],
)
def test_what_is_too_old_or_missing_is_a_problem(package: str, version: str) -> None:
    """T45"""
    [problem] = version_problems({**versions(), package: version})
    assert problem.startswith(f"{package} {version} is older")
    assert f"install {floors()[package][0]} or newer" in problem


def test_what_is_optional_may_be_missing_and_not_too_old() -> None:
    assert version_problems({**versions(), "uvloop": "missing"}) == []
    assert version_problems({**versions(), "uvloop": "0.1"}) != []


def test_a_bare_copy_of_the_sources_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    assert floors() == {}
    assert version_problems(versions()) == []


def test_a_package_that_is_not_there_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "floors", lambda: {"no-such-package": ("1", False)})
    assert versions()["no-such-package"] == "missing"


def test_the_python_parser_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """T15: the C parser is the strict one."""
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    assert "C parser" in version_problems(versions())[0]


@pytest.mark.parametrize(
    ("version", "is_bad"),
    [
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 6), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
    ],
)
def test_sqlites_with_the_wal_bug_are_known(version: tuple[int, int, int], is_bad: bool) -> None:
    assert has_wal_bug(version) is is_bad
