"""Edits of config.toml that nobody would listen to."""

import argparse
import json
import signal
from pathlib import Path

import pytest

from llm_router.cli.options import load
from llm_router.cli.seed import ignored
from llm_router.routing.document import from_toml
from tests.cli.conftest import Run
from tests.cli.process import serving
from tests.cli.test_serve import ENVIRON, READY

FILE = "[categories.code]\nmodels = ['glm-5']\n[categories.poetry]\nmodels = ['glm-5']\n"
EDITED = FILE.replace("['glm-5']", "['gpt-4o-mini']")
WORDS = (
    "config.toml: categories.code.models, categories.poetry.models differ from the database, which "
    "is what counts after the first start; `llm-router config apply` takes the file's aliases and "
    "categories over"
)


@pytest.fixture
def file(run: Run, folder: Path) -> Path:
    """A config.toml whose categories are in force."""
    file = folder / "config.toml"
    file.write_text(FILE)
    run("config", "apply")
    assert run("check-config")[2].count("warning") == 0
    return file


def warnings(run: Run) -> list[str]:
    found: list[str] = json.loads(run("check-config", "--json")[1])["warnings"]
    assert json.loads(run("doctor", "--json")[1])["warnings"] == found
    err = run("check-config")[2]
    assert all(f"llm-router: warning: {warning}\n" in err for warning in found)
    return found


def test_an_edit_after_the_first_start_is_told(run: Run, file: Path) -> None:
    assert warnings(run) == []
    file.write_text(EDITED)
    assert warnings(run) == [WORDS]


def test_so_it_is_by_a_server_that_starts(run: Run, file: Path, folder: Path) -> None:
    file.write_text(EDITED)
    with serving(folder, "serve", until=READY, **ENVIRON, LLM_ROUTER_LOG__FORMAT="json") as server:
        _, err = server.stop(signal.SIGINT)
    assert WORDS in [json.loads(line)["message"] for line in err.splitlines()]


def test_what_it_advises_takes_the_file_over(run: Run, file: Path) -> None:
    file.write_text(EDITED)
    status, out, _ = run("config", "apply")
    assert (status, out.splitlines()[-1]) == (0, "version 2 is in force")
    assert warnings(run) == []
    config = from_toml(run("config", "export")[1])
    assert config.categories["poetry"].models == ("gpt-4o-mini",)
    assert config.categories["tools"].models[0] == "aurora-alpha"


def test_what_was_changed_since_by_other_means_is_no_matter(run: Run, file: Path) -> None:
    other = file.with_name("other.toml")
    other.write_text(run("config", "export")[1].replace("poetry", "prose"))
    assert run("config", "apply", str(other))[0] == 0
    assert warnings(run) == []


def test_a_file_without_categories_says_nothing_and_cannot_be_applied(run: Run, file: Path) -> None:
    file.write_text("[server]\nport = 1\n")
    assert warnings(run) == []
    status, _, err = run("config", "apply")
    assert status == 1
    assert "has no aliases or categories; name a FILE" in err


def test_many_places_are_counted(run: Run, file: Path) -> None:
    aliases = "\n".join(f"a{n} = 'a/b'" for n in range(9))
    file.write_text(f"[aliases]\n{aliases}\n{FILE}")
    [warning] = warnings(run)
    assert "aliases.a0, aliases.a1, aliases.a2 and 6 more differ" in warning


def test_a_database_that_cannot_be_read_is_others_to_complain_about(
    file: Path, folder: Path
) -> None:
    loaded = load(argparse.Namespace())
    (folder / "router.db").write_bytes(b"no database")
    assert ignored(loaded) == ()
