"""What an installed package must bring along, read from pyproject.toml."""

import tomllib
from pathlib import Path

import pytest

from llm_router.storage import migrate

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def setuptools() -> dict[str, dict[str, list[str]]]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    return dict(project["tool"]["setuptools"])


def test_every_package_is_listed(setuptools: dict[str, dict[str, list[str]]]) -> None:
    folders = (init.parent for init in (REPOSITORY / "llm_router").rglob("__init__.py"))
    names = {".".join(folder.relative_to(REPOSITORY).parts) for folder in folders}
    assert set(setuptools["packages"]) == names | {"llm_router._migrations"}


def test_every_file_that_is_not_code_is_shipped(
    setuptools: dict[str, dict[str, list[str]]],
) -> None:
    shipped = {
        file
        for package, patterns in setuptools["package-data"].items()
        for pattern in patterns
        for file in folder_of(package).glob(pattern)
    }
    found = {
        file
        for folder in ("llm_router", "migrations")
        for file in (REPOSITORY / folder).rglob("*")
        if file.is_file() and file.suffix not in {".py", ".pyc"}
    }
    assert found - shipped == set()


def folder_of(package: str) -> Path:
    if package == "llm_router._migrations":
        return REPOSITORY / "migrations"
    return REPOSITORY.joinpath(*package.split("."))


def test_an_installed_package_brings_its_own_migrations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside site-packages some other project's `migrations` may lie."""
    own, other = tmp_path / "llm_router" / "_migrations", tmp_path / "migrations"
    for folder in (own, other):
        folder.mkdir(parents=True)
        (folder / "0001_ledger.sql").touch()
        (folder / "README").touch()
    monkeypatch.setattr(migrate, "_FOLDERS", (own, other))
    assert [m.path for m in migrate.migrations()] == [own / "0001_ledger.sql"]
