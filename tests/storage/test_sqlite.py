import asyncio
import os
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from llm_router.errors import Conflict, StorageError
from llm_router.storage.sqlite import Database, open_database, open_reader, running_server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    async with open_database(path, busy_timeout_s=0.01) as database:
        yield database


def add(db: sqlite3.Connection) -> int:
    """Insert one row; twice in one database is a broken rule."""
    inserted = db.execute("INSERT INTO journal_offsets VALUES ('segment', 1)")
    return inserted.rowcount


async def names(database: Database) -> list[str]:
    return [row["segment"] for row in await database.read("SELECT segment FROM journal_offsets")]


async def test_a_job_s_rows_are_committed_when_transact_returns(database: Database) -> None:
    assert await database.transact(add) == 1
    assert await names(database) == ["segment"]


async def test_a_job_that_fails_leaves_nothing(database: Database) -> None:
    def fail(db: sqlite3.Connection) -> None:
        add(db)
        raise Conflict("no")

    with pytest.raises(Conflict):
        await database.transact(fail)
    assert await names(database) == []
    assert await database.transact(add) == 1


async def test_sqlite_s_errors_are_translated(database: Database) -> None:
    await database.transact(add)
    with pytest.raises(StorageError, match="UNIQUE") as caught:
        await database.transact(add)
    assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)


async def test_a_transaction_that_sqlite_rolled_back_itself_is_no_trouble(
    database: Database,
) -> None:
    """F84: a full disk ends the transaction before we do."""

    def full(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA max_page_count = 1")
        add(db)
        db.execute("INSERT OR ROLLBACK INTO journal_offsets VALUES ('segment', 1)")

    with pytest.raises(StorageError):
        await database.transact(full)
    assert await database.transact(add) == 1


async def test_a_full_disk_is_told_as_such_and_passes(database: Database) -> None:
    """F84."""

    def fill(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA max_page_count = 1")
        db.execute("INSERT INTO journal_offsets VALUES (?, 1)", ("x" * 200_000,))

    def grow(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA max_page_count = 1000000")
        add(db)

    with pytest.raises(StorageError, match="disk is full"):
        await database.transact(fill)
    await database.transact(grow)
    assert await names(database) == ["segment"]


async def test_jobs_run_one_after_the_other(database: Database) -> None:
    """F81: two admins change the same thing; each sees what the other did."""

    def job(db: sqlite3.Connection) -> int:
        (row,) = db.execute("SELECT count(*) FROM journal_offsets")
        db.execute("INSERT INTO journal_offsets VALUES (?, 1)", (str(row[0]),))
        return int(row[0])

    results = await asyncio.gather(*(database.transact(job) for _ in range(20)))
    assert results == list(range(20))


async def test_a_caller_that_leaves_does_not_stop_its_job(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    for expected in (["segment"], ["segment"]):  # the second time it breaks a rule, unheard
        caller = asyncio.ensure_future(database.transact(add))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await database.transact(lambda db: None)
        assert await names(database) == expected
    assert "caller had left failed" in caplog.text


async def test_what_was_asked_for_before_the_close_is_done(path: Path) -> None:
    async with open_database(path) as database:
        pending = asyncio.ensure_future(database.transact(add))
        await asyncio.sleep(0)
    assert await pending == 1
    with pytest.raises(StorageError, match="closed"):
        await database.transact(add)
    with pytest.raises(StorageError, match="closed"):
        await database.read("SELECT 1")


async def test_a_database_that_another_program_locks_says_so(
    database: Database, path: Path
) -> None:
    """F86."""
    with closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked by another program"):
            await database.transact(add)
        assert await names(database) == [], "reading goes on"
    await database.transact(add)


@pytest.mark.parametrize("is_replaced", [False, True], ids=["moved", "replaced"])
async def test_a_database_that_is_taken_away_gets_no_rows(
    database: Database, path: Path, is_replaced: bool
) -> None:
    """F88: they used to be lost with the nameless file, while all was said to be well."""
    away = path.with_suffix(".away")
    shutil.move(path, away)
    if is_replaced:
        shutil.copy(away, path)
    with pytest.raises(StorageError, match="deleted, moved or replaced"):
        await database.transact(add)
    shutil.move(away, path)
    await database.transact(add)
    assert len(await names(database)) == 1


async def test_a_reader_can_not_write(database: Database, path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        await database.read("DELETE FROM journal_offsets")
    async with open_reader(path) as reader:
        with pytest.raises(StorageError, match="cannot be written"):
            await reader.read("DELETE FROM journal_offsets")


async def test_a_long_query_is_ended_and_the_next_is_answered(path: Path) -> None:
    """F87."""
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"
    async with open_database(path), open_reader(path, limit_s=0.01) as reader:
        with pytest.raises(StorageError, match="took too long"):
            await reader.read(endless)
        assert [tuple(row) for row in await reader.read("SELECT ?", (7,))] == [(7,)]


@pytest.mark.slow
async def test_what_piles_up_behind_a_long_reader_shrinks_when_it_has_gone(
    database: Database, path: Path
) -> None:
    """F87: to 64 MiB, which are kept for the next time."""
    wal = path.with_name("router.db-wal")

    def fill(db: sqlite3.Connection) -> None:
        for number in range(70):
            db.execute("INSERT INTO journal_offsets VALUES (?, 1)", (f"{number:02}" * 524_288,))

    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM journal_offsets").fetchone()
        await database.transact(fill)
        await database.transact(add)
        assert wal.stat().st_size > 70 * 2**20
    await database.transact(lambda db: db.execute("DELETE FROM journal_offsets"))
    await database.transact(add)  # the first one that begins the file anew
    assert wal.stat().st_size <= 64 * 2**20


async def test_a_reader_notices_that_somebody_wrote(database: Database) -> None:
    (before,) = await database.read("PRAGMA data_version")
    await database.transact(add)
    (after,) = await database.read("PRAGMA data_version")
    assert tuple(before) != tuple(after)


async def test_reading_beside_a_server_leaves_the_checkpoint_to_it(
    database: Database, path: Path
) -> None:
    """SQLite before 3.51.3 may corrupt a WAL that two connections checkpoint at once."""
    await database.transact(add)
    wal = path.with_name("router.db-wal")
    size = wal.stat().st_size
    async with open_reader(path) as reader:
        assert len(await reader.read("SELECT * FROM journal_offsets")) == 1
    assert wal.stat().st_size == size > 0


async def test_the_connection_keeps_what_it_commits_through_a_power_cut(
    database: Database,
) -> None:
    """F91."""

    def settings(db: sqlite3.Connection) -> list[int | str]:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "mmap_size")
        return [db.execute("PRAGMA " + pragma).fetchone()[0] for pragma in pragmas]

    assert await database.transact(settings) == ["wal", 2, 1, 0]


async def test_only_one_process_writes(database: Database, path: Path) -> None:
    with pytest.raises(StorageError, match=r"already written by process \d+; stop it first"):
        async with open_database(path):
            raise AssertionError
    database.announce("http://127.0.0.1:3456")
    with pytest.raises(StorageError, match=r"process \d+ at http://127.0.0.1:3456"):
        async with open_database(path):
            raise AssertionError
    assert running_server(path) == {"pid": os.getpid(), "url": "http://127.0.0.1:3456"}


async def test_the_lock_ends_with_the_writer(path: Path) -> None:
    assert running_server(path) is None
    async with open_database(path) as database:
        database.announce("http://127.0.0.1:3456")
    assert running_server(path) is None
    async with open_database(path):
        assert running_server(path) == {"pid": os.getpid()}


async def test_the_lock_ends_with_a_killed_process(path: Path) -> None:
    """F69: a start after SIGKILL needs no cleaning up."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OPEN_AND_WAIT, str(path), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"open\n"
    assert running_server(path) == {"pid": child.pid}
    child.kill()
    await child.wait()
    async with open_database(path) as database:
        assert await database.transact(add) == 1


OPEN_AND_WAIT = """
import asyncio, sys
from pathlib import Path
from llm_router.storage.sqlite import open_database

async def main():
    async with open_database(Path(sys.argv[1])):
        print("open", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_lock_file_half_written_is_still_a_lock(database: Database, path: Path) -> None:
    lock = path.with_name("router.db-journals") / "writer.lock"
    lock.write_bytes(b'{"pid"')
    assert running_server(path) == {}
    lock.write_bytes(b"[]")
    assert running_server(path) == {}
    with pytest.raises(StorageError, match="by another process;"):
        async with open_database(path):
            raise AssertionError


async def test_files_are_private(database: Database, path: Path) -> None:
    """T38: the ledger says who asked what, and when."""
    await database.transact(add)
    files = [*path.parent.iterdir(), *path.with_name("router.db-journals").iterdir()]
    modes = {file.name: file.stat().st_mode & 0o777 for file in files}
    assert modes == {
        "router.db": 0o600,
        "router.db-wal": 0o600,
        "router.db-shm": 0o600,
        "router.db-journals": 0o700,
        "writer.lock": 0o600,
    }


async def test_a_database_that_others_can_read_is_warned_about(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """T38."""
    async with open_database(path):
        pass
    assert caplog.text == ""
    os.chmod(path, 0o644)  # noqa: PTH101  the other way blocks, says ASYNC240
    async with open_database(path):
        pass
    assert "chmod 600" in caplog.text


async def test_a_reader_says_what_is_missing(path: Path) -> None:
    with pytest.raises(StorageError, match="does not exist yet"):
        async with open_reader(path):
            raise AssertionError


async def test_a_reader_of_an_older_database_asks_for_the_migration(path: Path) -> None:
    async with open_database(path) as database:

        def age(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM schema_migrations WHERE version > 1")

        await database.transact(age)
    with pytest.raises(StorageError, match="run `llm-router migrate`"):
        async with open_reader(path):
            raise AssertionError


async def test_a_reader_of_something_else_says_what_it_is(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"not a database" * 1000)
    with pytest.raises(StorageError, match="is not a SQLite database"):
        async with open_reader(path):
            raise AssertionError
