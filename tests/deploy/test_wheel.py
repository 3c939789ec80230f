"""What a wheel of this project holds, and what it does to whoever installs it."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path, PurePosixPath

import pytest

from llm_router import __version__

REPOSITORY = Path(__file__).parents[2]
SOURCES = ("llm_router", "migrations", "pyproject.toml", "README.md", "LICENSE")
BUILD = "import sys, setuptools.build_meta as b; print(b.build_wheel(sys.argv[1]))"
SUFFIXES = {".py", ".sql", ".html", ".css", ".js", ".svg", ".bin", ".json", ".txt", ".typed", ""}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build it as pip does, from what an archive of the sources holds."""
    if int(metadata.version("setuptools").split(".")[0]) < 77:
        pytest.skip("setuptools is too old to build the wheel: pip install -e '.[dev]'")
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy2
        copy(REPOSITORY / name, folder / name)
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return zipfile.ZipFile(folder / built.stdout.split()[-1])


def test_installing_it_runs_nothing(wheel: zipfile.ZipFile) -> None:
    """T46: no .pth line that every Python start would run, no data that lands elsewhere."""
    for name in wheel.namelist():
        path = PurePosixPath(name)
        assert path.suffix != ".pth"
        assert path.parts[0] in ("llm_router", f"llm_router-{__version__}.dist-info"), name
        if path.parts[0] == "llm_router":
            assert path.suffix in SUFFIXES | {".toml"}, name
            assert path.name not in ("sitecustomize.py", "usercustomize.py", "setup.py")


def test_it_brings_one_command_and_no_hook(wheel: zipfile.ZipFile) -> None:
    """T46"""
    parser = configparser.ConfigParser()
    parser.read_string(wheel.read(f"llm_router-{__version__}.dist-info/entry_points.txt").decode())
    assert {name: dict(parser[name]) for name in parser.sections()} == {
        "console_scripts": {"llm-router": "llm_router.cli:main"}
    }


def test_it_holds_all_of_the_package(wheel: zipfile.ZipFile) -> None:
    held = set(wheel.namelist())
    for file in (REPOSITORY / "llm_router").rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            assert file.relative_to(REPOSITORY).as_posix() in held
    for file in (REPOSITORY / "migrations").glob("*.sql"):
        assert f"llm_router/_migrations/{file.name}" in held


def test_nothing_runs_when_it_is_built_but_the_builder() -> None:
    """T46"""
    assert not [name for name in ("setup.py", "setup.cfg") if (REPOSITORY / name).exists()]
