"""A disk that is full, read-only or damaged, and others who hold on to the database.

Whatever it is, answers go on; one gauge and one line of the log say what is wrong, and another line
says that it is over. Then every row is there.
"""

import errno
import json
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from llm_router.cli.backup import backup
from reliability import shims
from reliability.lives import DidNotStart
from reliability.stage import left_over, locked
from reliability.wire import Answer, send
from tests.reliability.stage import Stage, can_unshare, staged

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs pidfds and /proc")

may_mount = pytest.mark.skipif(
    not can_unshare("-rm"), reason="this machine lets nobody mount a file system"
)
ROWS_WAIT, ROWS_GO_ON = "rows wait in the journal", "the database takes rows again"
MEMORY_ONLY, WRITTEN_AGAIN = "the journal cannot be written", "the journal is written again"


async def change(stage: Stage) -> Answer:
    category = {"name": "poems", "models": ["glm-5"]}
    return await send(stage.nursery.port, "POST", "/config/category", category)


async def assert_served_in_trouble(stage: Stage, why: str) -> None:
    """Ask on, in both ways, until the trouble shows; then see that it is told, and how."""
    for number in range(30):
        assert (await stage.ask(stream=number % 2 == 0)).is_good
    await stage.until_database("failing")
    assert (await stage.ask()).is_good
    assert (await stage.health())["status"] == "degraded"
    assert (await send(stage.nursery.port, "GET", "/health/ready")).status == 200
    assert await stage.gauge("database_failing") == 1
    refused = await change(stage)
    assert refused.status == 503
    assert why in json.loads(refused.body)["error"]["message"]
    assert stage.said(ROWS_WAIT) == 1
    assert not stage.said(ROWS_GO_ON)


async def assert_recovered(stage: Stage) -> None:
    await stage.until_database("ok")
    assert await stage.gauge("database_failing") == 0
    assert stage.said(ROWS_WAIT) == stage.said(ROWS_GO_ON) == 1
    assert (await change(stage)).status == 200


IN_A_TMPFS = ("unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=4m none "$0" && exec "$@"')


@may_mount
async def test_a_full_disk_delays_rows_and_nothing_else(tmp_path: Path) -> None:
    """F84: what the journal does not take waits in memory; with room again all rows come."""
    small = tmp_path / "small"
    small.mkdir()
    environ = {"ROUTER_DB": str(small / "router.db")}
    async with staged(tmp_path, within=(*IN_A_TMPFS, str(small)), environ=environ) as stage:
        seen = Path(f"/proc/{stage.nursery.pid}/root", *small.parts[1:])
        assert (await stage.ask()).is_good
        ballast = seen / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(65_536))
            except OSError:
                pass
        await assert_served_in_trouble(stage, "disk is full")
        assert await stage.gauge("journal_failing") == 1
        assert await stage.gauge("journal_backlog_bytes") > 0
        ballast.unlink()
        await assert_recovered(stage)
        await stage.until_gauge("journal_failing", 0)
        assert await stage.gauge("journal_backlog_bytes") == 0
        assert stage.said(MEMORY_ONLY) == stage.said(WRITTEN_AGAIN) == 1
        await stage.life.end()
        shutil.copy(seen / "router.db", stage.nursery.database)  # SQLite goes by real paths
        await stage.end_and_compare()


async def test_a_log_that_cannot_be_written_is_missed_by_nobody(tmp_path: Path) -> None:
    """F84: the disk that is full may be the log's."""
    log = tmp_path / "log"
    log.symlink_to("/dev/full")
    async with staged(tmp_path, environ={"LLM_ROUTER_LOG__LEVEL": "debug"}) as stage:
        for number in range(5):
            assert (await stage.ask(stream=number % 2 == 0)).is_good
        log.unlink()
        log.touch()
        await stage.end_and_compare()


# The kernel makes nothing read-only that is open for writing, unless its disk has failed. So a shim
# says what it would say then.
@pytest.mark.skipif(shims.compiler() is None, reason="there is no C compiler to build the shim")
@pytest.mark.parametrize(
    ("what", "why"),
    [("", "the disk reports an error"), ("router.db-wal", "the disk reports an error")],
    ids=["all of it", "the database alone"],
)
async def test_a_disk_that_becomes_read_only_delays_rows_and_nothing_else(
    tmp_path: Path, what: str, why: str
) -> None:
    """F88: until somebody mounts it for writing again."""
    disk, flag = tmp_path / "disk", tmp_path / "is read-only"
    disk.mkdir()
    environ = {
        "ROUTER_DB": str(disk / "router.db"),
        "FAIL_ROOT": str(disk / what),
        "FAIL_WHAT": "wstou",
        "FAIL_AT": "1",
        "FAIL_TIMES": "1000000000",
        "FAIL_HOW": str(errno.EROFS),
        "FAIL_WHILE": str(flag),
    }
    async with staged(tmp_path, preload=shims.build("fail", tmp_path), environ=environ) as stage:
        assert (await stage.ask()).is_good
        flag.touch()
        await assert_served_in_trouble(stage, why)
        assert await stage.gauge("journal_failing") == (not what)
        assert stage.said(MEMORY_ONLY) == (not what)
        flag.unlink()
        await assert_recovered(stage)
        await stage.until_gauge("journal_failing", 0)
        assert stage.said(WRITTEN_AGAIN) == (not what)
        await stage.end_and_compare(disk / "router.db")


ON_A_READ_ONLY_DISK = (
    *("unshare", "-rm", "sh", "-c"),
    'mount -t tmpfs none "$0" && mount -o remount,ro "$0" && exec "$@"',
)


@may_mount
async def test_a_start_on_a_read_only_disk_is_refused_in_one_line(tmp_path: Path) -> None:
    """F88"""
    disk = tmp_path / "disk"
    disk.mkdir()
    environ = {"ROUTER_DB": str(disk / "router.db")}
    with pytest.raises(DidNotStart, match=r"Read-only file system; .* able to read and write"):
        async with staged(tmp_path, within=(*ON_A_READ_ONLY_DISK, str(disk)), environ=environ):
            raise AssertionError
    assert (tmp_path / "log").read_text().count("\n") == 1


@pytest.mark.slow
async def test_a_lock_that_somebody_else_holds_delays_rows_and_nothing_else(tmp_path: Path) -> None:
    """F86: a forgotten transaction in a database shell."""
    async with staged(tmp_path) as stage:
        with locked(stage.nursery.database):
            before = await stage.gauge("journal_bytes")
            await assert_served_in_trouble(stage, "is locked by another program")
            assert await stage.gauge("journal_bytes") > before
            assert await stage.gauge("journal_failing") == 0
        await assert_recovered(stage)
        await stage.end_and_compare()
        assert not list(left_over(stage.nursery.database))


async def test_somebody_who_reads_for_long_delays_nothing(tmp_path: Path) -> None:
    """F87: rows come, others read them, and what piles up behind the reader shows."""
    async with staged(tmp_path) as stage:
        assert (await stage.ask()).is_good
        with closing(sqlite3.connect(stage.nursery.database, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM config_versions").fetchone() == (1,)
            before = await stage.gauge("database_wal_bytes")
            for _ in range(20):
                assert (await stage.ask()).is_good
            assert (await change(stage)).status == 200
            assert await stage.gauge("database_wal_bytes") > before
            assert (await stage.health())["database"]["state"] == "ok"
            assert reader.execute("SELECT count(*) FROM config_versions").fetchone() == (1,)
        await stage.end_and_compare()


async def test_a_database_that_is_damaged_meanwhile_stops_no_answer_and_costs_no_row(
    tmp_path: Path,
) -> None:
    """F89: rows wait until there is a sound copy again, and are taken in from where it ends."""
    async with staged(tmp_path) as stage:
        database = stage.nursery.database
        for _ in range(5):
            assert (await stage.ask()).is_good
        backup(database, tmp_path / "copy.db")
        damage(database)
        await assert_served_in_trouble(stage, "is damaged; nothing was overwritten")
        await stage.life.end()
        for suffix in ("-wal", "-shm"):
            database.with_name(database.name + suffix).unlink(missing_ok=True)
        (tmp_path / "copy.db").replace(database)
        stage.life = await stage.nursery.start()
        await stage.life.ready()
        await stage.end_and_compare()
        assert not list(left_over(database))


def damage(database: Path) -> None:
    """Overwrite all pages but the first, and let whoever has them in memory read them again."""
    with closing(sqlite3.connect(database, timeout=30)) as other:
        other.execute("PRAGMA user_version = 1")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with database.open("r+b", buffering=0) as file:
        file.seek(4096)
        file.write(os.urandom(database.stat().st_size - 4096))
