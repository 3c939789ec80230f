import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from llm_router.cli import main
from llm_router.cli.backup import backup
from llm_router.errors import StorageError
from llm_router.storage.migrate import prepare


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "router.db"
    monkeypatch.setenv("ROUTER_DB", str(path))
    prepare(path)
    return path


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.execute(sql))


def test_a_backup_is_a_database_of_its_own(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """F92: it starts where it is put."""
    with closing(sqlite3.connect(path)) as server:
        server.execute("INSERT INTO journal_offsets VALUES ('s', 1)")
        server.commit()
        assert main(["backup", "copy.db"]) == 0
    copy = tmp_path / "copy.db"
    assert "is backed up as copy.db" in capsys.readouterr().out
    assert query(copy, "SELECT * FROM journal_offsets") == [("s", 1)]
    assert query(copy, "PRAGMA integrity_check") == [("ok",)]
    assert prepare(copy) == []


def test_a_backup_is_private(path: Path, tmp_path: Path) -> None:
    """T38."""
    backup(path, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600


def test_json_says_what_was_copied_where(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backup", "copy.db", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "database": str(path),
        "file": "copy.db",
        "bytes": (tmp_path / "copy.db").stat().st_size,
    }


def test_a_backup_under_load_is_the_moment_it_began(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F92: the server commits after every page copied, which must not start the copy anew."""
    monkeypatch.setattr("llm_router.cli.backup._PAGES_PER_STEP", 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as server:
        server.execute("INSERT INTO journal_offsets VALUES ('before', 1)")

        def commit(*_: object, **__: object) -> None:
            (steps,) = server.execute("SELECT count(*) FROM journal_offsets").fetchone()
            if steps < 500:
                server.execute("INSERT INTO journal_offsets VALUES (?, 1)", (f"{steps}" * 500,))

        monkeypatch.setattr("rich.progress.Progress.update", commit)
        backup(path, tmp_path / "copy.db")
        assert server.execute("SELECT count(*) > 20 FROM journal_offsets").fetchone() == (1,)
    assert query(tmp_path / "copy.db", "SELECT segment FROM journal_offsets") == [("before",)]
    assert query(tmp_path / "copy.db", "PRAGMA integrity_check") == [("ok",)]


def test_an_existing_file_is_not_overwritten(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "copy.db").write_text("precious")
    assert main(["backup", "copy.db"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "copy.db").read_text() == "precious"


def test_a_folder_that_is_not_there_is_named(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backup", "nowhere/copy.db"]) == 1
    assert "nowhere/copy.db" in capsys.readouterr().err


def test_without_a_database_there_is_nothing_to_back_up(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.unlink()
    assert main(["backup", "copy.db"]) == 1
    assert "nothing to back up" in capsys.readouterr().err
    assert not (tmp_path / "copy.db").exists()
    assert not path.exists()


def test_a_backup_that_fails_leaves_no_file(path: Path, tmp_path: Path) -> None:
    """F89."""
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError, match="not a SQLite database"):
        backup(path, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
