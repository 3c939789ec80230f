import asyncio
import ctypes
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from llm_router.errors import StorageError
from llm_router.storage import migrate
from llm_router.storage.lock import writer_lock
from llm_router.storage.migrate import APPLICATION_ID, Migration, migrations, prepare

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


def fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.execute(sql))


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_new_database_gets_every_migration_once(path: Path) -> None:
    applied = prepare(path)
    assert applied == list(migrations())
    assert [m.version for m in applied] == list(range(1, len(applied) + 1))
    assert query(path, "SELECT version, name FROM schema_migrations ORDER BY version") == [
        (m.version, m.name) for m in applied
    ]
    assert query(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert query(path, "PRAGMA journal_mode") == [("wal",)]
    assert prepare(path) == []


def test_every_table_is_strict(path: Path) -> None:
    prepare(path)
    lax = (
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict"
    )
    assert query(path, lax + " AND name NOT LIKE 'sqlite_%'") == []


def with_migrations(
    monkeypatch: pytest.MonkeyPatch, folder: Path, **scripts: str
) -> tuple[Migration, ...]:
    """Let the program know one migration more for each script."""
    known = list(migrations())
    for name, script in scripts.items():
        file = folder / f"{name}.sql"
        file.write_text(script)
        known.append(Migration(known[-1].version + 1, name, file))
    monkeypatch.setattr(migrate, "migrations", lambda: tuple(known))
    return tuple(known)


def test_a_migration_that_fails_leaves_no_half(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(path)
    with_migrations(
        monkeypatch,
        tmp_path,
        first="CREATE TABLE one (id INTEGER) STRICT;",
        second="CREATE TABLE two (id INTEGER) STRICT; CREATE TABLE one (id INTEGER) STRICT;",
    )
    with pytest.raises(StorageError, match="table one already exists"):
        prepare(path)
    names = query(path, "SELECT name FROM schema_migrations ORDER BY version DESC LIMIT 1")
    assert names == [("first",)]
    tables = "SELECT name FROM sqlite_schema WHERE name IN ('one', 'two')"
    assert query(path, tables) == [("one",)]


def test_triggers_and_unended_statements_are_run_whole(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "-- a comment; with a semicolon\n"
        "CREATE TABLE t (id INTEGER) STRICT;\n"
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN\n  DELETE FROM t WHERE id = 1;\n"
        "  DELETE FROM t WHERE id = 2;\nEND;\n"
        "INSERT INTO t VALUES (3)"
    )
    with_migrations(monkeypatch, tmp_path, triggers=script)
    prepare(path)
    assert query(path, "SELECT id FROM t") == [(3,)]


def test_a_start_killed_before_its_first_migration_is_taken_up_again(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F91: the file is ours already, and empty."""
    file = tmp_path / "0001_broken.sql"
    file.write_text("nonsense;")
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "migrations", lambda: (Migration(1, "broken", file),))
        with pytest.raises(StorageError):
            prepare(path)
    assert prepare(path) == list(migrations())


def in_the_middle_of_a_change(path: Path, folder: Path) -> Path:
    """Return a copy as a power cut leaves it: written in part, with the journal to undo that."""
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 1")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("CREATE TABLE half (a)")
        for _ in range(300):
            writer.execute("INSERT INTO half VALUES (zeroblob(3000))")
        for suffix in ("", "-journal"):
            shutil.copy(f"{path}{suffix}", folder / f"cut.db{suffix}")
    return folder / "cut.db"


def test_a_creation_that_the_power_cut_off_is_taken_back(path: Path, tmp_path: Path) -> None:
    """F91: it was never anything, and nobody has to remove it by hand."""
    path.touch()
    assert prepare(in_the_middle_of_a_change(path, tmp_path)) == list(migrations())


def test_a_change_of_another_program_is_not_ours_to_take_back(path: Path, tmp_path: Path) -> None:
    """F90"""
    execute(path, "CREATE TABLE contacts (name)")
    cut = in_the_middle_of_a_change(path, tmp_path)
    journal = cut.with_name("cut.db-journal")
    before = fingerprint(cut), fingerprint(journal)
    with pytest.raises(StorageError, match="left by another program in the middle of a change"):
        prepare(cut)
    assert (fingerprint(cut), fingerprint(journal)) == before


def test_a_newer_schema_is_refused_and_untouched(path: Path, tmp_path: Path) -> None:
    """F90: going back to an older program must not harm what the newer one wrote."""
    prepare(path)
    crashed = tmp_path / "crashed.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as newer:
        newer.execute("INSERT INTO schema_migrations VALUES (9999, 'later', '2030-01-01')")
        for suffix in ("", "-wal"):  # as a killed process leaves them
            shutil.copy(f"{path}{suffix}", f"{crashed}{suffix}")
    for file in (path, crashed):
        before = fingerprint(file)
        with pytest.raises(StorageError, match=r"has schema 9999, .* nothing was changed"):
            prepare(file)
        assert fingerprint(file) == before
    assert Path(f"{crashed}-wal").stat().st_size > 0


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE contacts (name)"],
        ["PRAGMA application_id = 252006674"],
        ["PRAGMA application_id = 1", "CREATE TABLE schema_migrations (version)"],
        ["CREATE TABLE schema_migrations (version)", "INSERT INTO schema_migrations VALUES (1)"],
    ],
    ids=["tables", "an empty one with an id", "an id and migrations", "migrations of its own"],
)
def test_another_program_s_database_is_refused_and_untouched(
    path: Path, statements: list[str]
) -> None:
    """F90."""
    execute(path, *statements)
    before = fingerprint(path)
    with pytest.raises(StorageError, match="belongs to another program"):
        prepare(path)
    assert fingerprint(path) == before


@pytest.mark.parametrize("content", [b"hello", b"hello" * 1000], ids=["short", "long"])
def test_a_file_that_is_no_database_is_refused_and_untouched(path: Path, content: bytes) -> None:
    """F89."""
    path.write_bytes(content)
    with pytest.raises(StorageError, match="not a SQLite database"):
        prepare(path)
    assert path.read_bytes() == content


def test_a_truncated_database_is_refused_and_untouched(path: Path) -> None:
    """F89."""
    prepare(path)
    content = path.read_bytes()[:8192]
    path.write_bytes(content)
    with pytest.raises(StorageError, match="is damaged; nothing was overwritten"):
        prepare(path)
    assert path.read_bytes() == content


def test_a_broken_schema_page_is_refused_and_untouched(path: Path) -> None:
    """F89."""
    prepare(path)
    content = bytearray(path.read_bytes())
    content[100:2000] = b"\xff" * 1900
    path.write_bytes(content)
    with pytest.raises(StorageError, match="is damaged; nothing was overwritten"):
        prepare(path)
    assert path.read_bytes() == content


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """F88."""
    with (
        pytest.raises(StorageError, match="nowhere does not exist; create it"),
        writer_lock(tmp_path / "nowhere" / "router.db"),
    ):
        raise AssertionError


def test_a_folder_has_no_place_as_the_database(tmp_path: Path) -> None:
    """F88."""
    with pytest.raises(StorageError, match="is a folder; name a file"), writer_lock(tmp_path):
        raise AssertionError
    assert not tmp_path.with_name(f"{tmp_path.name}-journals").exists()


def test_a_folder_in_the_place_of_the_file_is_named(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StorageError, match=r"router\.db"):
        prepare(path)


def test_a_file_in_the_place_of_the_journals_is_named(path: Path) -> None:
    path.with_name("router.db-journals").write_text("in the way")
    with pytest.raises(StorageError, match=r"router\.db-journals"), writer_lock(path):
        raise AssertionError


def test_a_file_system_without_wal_is_refused(path: Path) -> None:
    with (
        closing(sqlite3.connect(":memory:")) as memory,
        pytest.raises(sqlite3.OperationalError, match="no WAL"),
    ):
        migrate.migrate(memory, 0)


def obey_permissions() -> None:
    """Take from root's child the right to ignore file modes (CAP_DAC_OVERRIDE and _READ_SEARCH)."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):
        libc.prctl(24, capability, 0, 0, 0)


OPEN = """
import asyncio, sys
from pathlib import Path
from llm_router.errors import StorageError
from llm_router.storage.sqlite import open_database

async def main():
    async with open_database(Path(sys.argv[1])):
        print("opened")

try:
    asyncio.run(main())
except StorageError as exc:
    print(exc)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's capabilities when run as root")
@pytest.mark.parametrize("what", ["file", "folder", "new file in a folder"])
def test_a_read_only_database_stops_the_start_with_a_clear_message(path: Path, what: str) -> None:
    """F88."""
    if what != "new file in a folder":
        prepare(path)
        path.with_name("router.db-journals").mkdir(mode=0o700)
    (path if what == "file" else path.parent).chmod(0o400 if what == "file" else 0o500)
    try:
        result = subprocess.run(
            [sys.executable, "-c", OPEN, str(path)],
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            preexec_fn=obey_permissions if os.geteuid() == 0 else None,
            check=False,
        )
    finally:
        path.parent.chmod(0o700)
    assert "router.db" in result.stdout
    assert "write" in result.stdout, result.stdout + result.stderr


def test_two_starts_at_once_migrate_once(path: Path) -> None:
    """F82: the loser is told who won."""

    async def race() -> list[str]:
        children = [
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                OPEN.replace('print("opened")', 'print("opened", flush=True); input()'),
                str(path),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                cwd=REPOSITORY,
            )
            for _ in range(2)
        ]
        waiting = [asyncio.ensure_future(c.stdout.readline()) for c in children if c.stdout]
        said = [(await line).decode() for line in waiting]
        for child in children:
            await child.communicate(b"\n")
        return sorted(said)

    lost, won = asyncio.run(race())
    assert "already written by process" in lost
    assert won == "opened\n"


def test_a_long_migration_says_how_far_it_is(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "_STEPS_BETWEEN_LOOKS", 1000)
    monkeypatch.setattr(migrate, "TELL_EVERY_S", 0)
    slow = tmp_path / "slow.sql"
    slow.write_text(
        "CREATE TABLE numbers AS WITH RECURSIVE n(i) AS "
        "(VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n;"
    )
    told: list[str] = []
    migrate.prepare(path, told.append)
    assert told == [], "a database that is made is there at once"
    newest = migrate.migrations()[-1].version
    known = (*migrate.migrations(), migrate.Migration(newest + 1, "count", slow))
    monkeypatch.setattr(migrate, "migrations", lambda: known)
    migrate.prepare(path, told.append)
    assert told[0] == "migrating, step 1 of 1, count"
    assert told[1] == "migrating, step 1 of 1, count: 0 s so far"
