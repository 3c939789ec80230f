"""What the container image installs: everything pinned, everything hashed, nothing too old."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def locked() -> dict[str, Version]:
    """Return package → version; each entry has hashes and nothing but hashes."""
    lines = (REPOSITORY / "deploy" / "requirements.lock").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    found: dict[str, Version] = {}
    for entry in re.split(r"\n(?=\S)", text.strip()):
        first, *hashes = [part.strip() for part in entry.split("\\\n")]
        assert hashes, first
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes), first
        requirement = Requirement(first)
        [pin] = requirement.specifier
        assert pin.operator == "=="
        assert requirement.url is None
        found[canonicalize_name(requirement.name)] = Version(pin.version)
    return found


def asked_for() -> list[Requirement]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    return [
        Requirement(text)
        for text in (*project["project"]["dependencies"], *project["build-system"]["requires"])
    ]


def test_whatever_we_ask_for_is_pinned_above_its_floor(locked: dict[str, Version]) -> None:
    """T45"""
    for requirement in asked_for():
        assert locked[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_so_is_whatever_they_ask_for(locked: dict[str, Version]) -> None:
    """T45: pip would refuse the file otherwise, but only when somebody builds the image."""
    for name in locked:
        try:
            wanted = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for requirement in map(Requirement, wanted):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                assert canonicalize_name(requirement.name) in locked, (name, requirement)


def test_nothing_else_is(locked: dict[str, Version]) -> None:
    """T45: each package more is one more that could be taken over."""
    assert len(locked) <= 30


def test_it_names_no_place_but_the_usual_index() -> None:
    text = (REPOSITORY / "deploy" / "requirements.lock").read_text()
    assert "://" not in text
    assert "--index" not in text
