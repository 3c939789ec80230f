"""Taking over a router_config.json from the command line."""

import json
from pathlib import Path

import pytest

from llm_router.routing.document import from_toml
from tests.cli.conftest import Run

SAVED = {"categories": {"code": ["glm-5"]}, "api_key": "sk-canary"}


@pytest.fixture
def saved(folder: Path) -> str:
    (folder / "router_config.json").write_text(json.dumps(SAVED))
    return "router_config.json"


def test_what_is_understood_is_taken_and_the_rest_is_named(run: Run, saved: str) -> None:
    status, out, err = run("import", saved)
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "taken: categories.code: category code (models)",
        "not understood: api_key: unknown",
        "categories.code.models: glm-5, aurora-alpha, gpt-4o-mini -> glm-5",
        "version 2 is in force",
    ]
    assert from_toml(run("config", "export")[1]).categories["code"].models == ("glm-5",)


def test_a_category_that_stands_there_twice_is_named(run: Run, folder: Path) -> None:
    twice = '{"categories": {"code": ["glm-5"], "code": ["gpt-4o-mini"]}}'
    (folder / "x.json").write_text(twice)
    status, out, _ = run("import", "x.json")
    assert status == 0
    assert "not understood: code: twice in one object; the last one counts\n" in out
    assert "categories.code.models: glm-5, aurora-alpha, gpt-4o-mini -> gpt-4o-mini\n" in out


def test_a_dry_run_changes_nothing(run: Run, saved: str, folder: Path) -> None:
    status, out, _ = run("import", saved, "--dry-run")
    assert status == 0
    assert "categories.code.models: glm-5, aurora-alpha, gpt-4o-mini -> glm-5\n" in out
    assert out.endswith("nothing was changed (--dry-run)\n")
    assert not (folder / "router.db").exists()


def test_programs_get_json(run: Run, saved: str) -> None:
    answered = json.loads(run("import", saved, "--json")[1])
    assert answered == {
        "is_dry_run": False,
        "taken": ["categories.code: category code (models)"],
        "not_understood": ["api_key: unknown"],
        "changes": [
            {
                "path": "categories.code.models",
                "from": ["glm-5", "aurora-alpha", "gpt-4o-mini"],
                "to": ["glm-5"],
            }
        ],
    }


def test_nothing_taken_is_a_failure_and_writes_nothing(run: Run, folder: Path) -> None:
    (folder / "x.json").write_text('{"x": 1}')
    status, out, _ = run("import", "x.json")
    assert status == 1
    assert "not understood: x: unknown\n" in out
    assert not (folder / "router.db").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "bad.json is not valid JSON: Expecting"),
        (b"\xff\xff", "bad.json is not valid JSON"),
        (b"[" * 100_000, "bad.json is not valid JSON"),
        (None, "bad.json cannot be read: No such file"),
    ],
    ids=["cut", "no text", "deep", "missing"],
)
def test_a_file_that_cannot_be_read_is_told_in_one_line(
    run: Run, folder: Path, content: bytes | None, words: str
) -> None:
    if content is not None:
        (folder / "bad.json").write_bytes(content)
    status, out, err = run("import", "bad.json")
    assert (status, out) == (1, "")
    assert words in err
    assert err.count("\n") == 1
