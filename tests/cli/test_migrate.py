import json
from pathlib import Path

import pytest

from llm_router.cli import main
from llm_router.storage.lock import writer_lock
from llm_router.storage.migrate import migrations

NEWEST = migrations()[-1].version


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROUTER_DB", str(tmp_path / "router.db"))
    return tmp_path / "router.db"


def test_migrating_tells_what_was_applied(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == [
        *(f"applied {m.version:04d} {m.name}" for m in migrations()),
        f"{path} has schema {NEWEST}",
    ]
    assert main(["migrate"]) == 0
    assert capsys.readouterr().out == f"{path} has schema {NEWEST}, nothing to do\n"


def test_json_tells_the_same(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "database": str(path),
        "version": NEWEST,
        "applied": [{"version": m.version, "name": m.name} for m in migrations()],
    }


def test_a_running_server_is_not_migrated_under_its_feet(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with writer_lock(path) as lock:
        lock.announce("http://127.0.0.1:3456")
        assert main(["migrate"]) == 1
    assert "at http://127.0.0.1:3456; stop it first" in capsys.readouterr().err
    assert not path.exists()
