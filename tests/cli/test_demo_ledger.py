"""Made-up numbers and real ones: a demo's ledger and a real one never become the same."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from llm_router.cli.demo_ledger import own_ledger, set_aside
from llm_router.errors import StorageError
from llm_router.storage.lock import journal_folder, writer_lock
from llm_router.storage.migrate import prepare


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


def fill(path: Path, subject: str) -> None:
    with writer_lock(path):
        prepare(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO stale_hours VALUES (?)", (subject,))
        connection.commit()


def content(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT hour FROM stale_hours")]


def test_a_demo_takes_the_usual_ledger_and_takes_it_up_again(path: Path) -> None:
    assert own_ledger(path) == path
    fill(path, "made up")
    assert own_ledger(path) == path


def test_a_demo_leaves_a_real_ledger_alone(path: Path) -> None:
    fill(path, "real")
    demo = own_ledger(path)
    assert demo == path.with_name("demo-router.db")
    fill(demo, "made up")
    assert own_ledger(path) == demo
    assert content(path) == ["real"]


def test_a_real_ledger_has_nothing_to_move(path: Path) -> None:
    assert set_aside(path) is None
    fill(path, "real")
    assert set_aside(path) is None
    assert content(path) == ["real"]


def test_a_demos_ledger_is_moved_whole_before_a_real_one_begins(path: Path) -> None:
    fill(own_ledger(path), "made up")
    (journal_folder(path) / "x.000000.journal").write_bytes(b"entries")
    aside = set_aside(path)
    assert aside is not None
    assert not path.exists()
    assert not journal_folder(path).exists()
    assert content(aside) == ["made up"]
    assert (journal_folder(aside) / "x.000000.journal").read_bytes() == b"entries"


def test_a_second_demos_ledger_replaces_the_first_one_set_aside(path: Path) -> None:
    for subject in ("first", "second"):
        fill(own_ledger(path), subject)
        set_aside(path)
        # SQLite would play a log that is left behind into whatever database stands beside it.
        assert not path.with_name("demo-router.db-wal").exists()
        path.with_name("demo-router.db-wal").write_bytes(b"of a demo that was killed")
    path.with_name("demo-router.db-wal").unlink()
    assert content(path.with_name("demo-router.db")) == ["second"]


def test_a_running_demo_keeps_its_ledger(path: Path) -> None:
    fill(own_ledger(path), "made up")
    with writer_lock(path), pytest.raises(StorageError, match="already written by process"):
        set_aside(path)
    assert content(path) == ["made up"]


def test_what_is_not_a_demos_is_never_overwritten(path: Path) -> None:
    fill(own_ledger(path), "made up")
    fill(path.with_name("demo-router.db"), "somebody's own")
    with pytest.raises(StorageError, match="cannot become"):
        set_aside(path)
    assert content(path) == ["made up"]
    assert content(path.with_name("demo-router.db")) == ["somebody's own"]
