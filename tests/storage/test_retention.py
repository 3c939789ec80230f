"""Pruning takes rows and leaves sums."""

import asyncio
import contextlib
import logging
import sqlite3

import pytest

from llm_router.ledger.period import ALL_TIME, Period
from llm_router.ledger.report import Group
from llm_router.storage import retention
from llm_router.storage.reports import report, totals
from llm_router.storage.retention import Pruned, count_prunable, prune, run_retention
from llm_router.storage.rollup import roll_up, run_rollup
from llm_router.storage.sqlite import Database
from llm_router.tasks import spawn
from tests.fakes.clock import Clock
from tests.fakes.ledger import (
    AURORA,
    IN_FLIGHT,
    KIMI,
    UNKNOWN_COST,
    add_attempt,
    add_exchange,
    add_request,
    change,
    write,
)

CUT = "2026-01-10T12:30:00.000Z"
OLD = "2026-01-10T12:10:00.000Z"
NEW = "2026-01-10T12:30:00.000Z"
LATER = "2027-01-01T00:00:00.000Z"
VIEWS = ("cost_by_day", "cost_by_category", "cost_by_key", "cost_by_model", "cost_by_provider")


async def ids(database: Database, table: str) -> set[str]:
    return {row["id"] for row in await database.read(f"SELECT id FROM {table}")}


async def views(database: Database) -> list[list[tuple[object, ...]]]:
    return [[tuple(r) for r in await database.read(f"SELECT * FROM {view}")] for view in VIEWS]


def sums(groups: list[Group]) -> list[object]:
    """Everything but percentiles, which need raw rows."""
    return [
        (g.keys, g.counts, g.cost_nanousd, g.cost_unknown, [m.mean for m in g.latency.values()])
        for g in groups
    ]


async def test_pruning_deletes_old_rows_and_changes_no_total(database: Database) -> None:
    for at in (OLD, OLD, NEW):
        for category in ("code", "tools"):
            request = await add_request(database, started_at=at, category=category, attempts=2)
            await add_attempt(database, request, started_at=at, model=AURORA, outcome="failed")
            await add_attempt(database, request, started_at=at, seq=2, **UNKNOWN_COST)
    questions: list[tuple[str, ...]] = [(), ("category", "key"), ("model", "outcome"), ("hour",)]
    before = [sums(await report(database, ALL_TIME, keys)) for keys in questions]
    seen = await views(database)

    assert await count_prunable(database, CUT) == Pruned(4, 8)
    assert await prune(database, CUT) == Pruned(4, 8)

    assert len(await ids(database, "requests")) == 2
    assert len(await ids(database, "attempts")) == 4
    for _ in range(2):
        assert [sums(await report(database, ALL_TIME, keys)) for keys in questions] == before
        assert await views(database) == seen
        await roll_up(database, LATER)


async def test_an_hour_can_be_pruned_in_steps(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_AT_ONCE", 2)
    for _ in range(5):
        await add_exchange(database, started_at=OLD)
    await roll_up(database, LATER)
    before = sums(await report(database, ALL_TIME, ("model",)))
    told: list[Pruned] = []
    assert await prune(database, CUT, told.append) == Pruned(5, 5)
    assert told == [Pruned(2, 2), Pruned(4, 4), Pruned(5, 5)]
    assert await ids(database, "requests") == await ids(database, "attempts") == set()
    assert sums(await report(database, ALL_TIME, ("model",))) == before
    assert (await totals(database, ALL_TIME)).counts["requests"] == 5


async def test_what_is_not_settled_stays(database: Database) -> None:
    """F47: a cost that is still being asked for finds its row."""
    request_in_flight = await add_request(database, started_at=OLD, **IN_FLIGHT)
    call_in_flight = await add_request(database, started_at=OLD)
    await add_attempt(database, call_in_flight, started_at=OLD, outcome=None)
    awaiting = await add_request(database, started_at=OLD, outcome="abandoned", **UNKNOWN_COST)
    attempt = await add_attempt(database, awaiting, started_at=OLD, **UNKNOWN_COST)
    lone = await add_attempt(database, "explained", started_at=OLD, **UNKNOWN_COST)
    for waiting in (attempt, lone):
        await write(
            database,
            "reconciliations",
            {"attempt_id": waiting, "generation_id": "gen", "next_try_at": OLD},
        )
    settled = await add_exchange(database, started_at=OLD)

    assert await prune(database, CUT) == Pruned(1, 1)
    assert await ids(database, "requests") == {request_in_flight, call_in_flight, awaiting}
    assert settled not in await ids(database, "requests")
    assert {attempt, lone} <= await ids(database, "attempts")

    await change(database, "UPDATE requests SET cost_nanousd = 3 WHERE id = ?", awaiting)
    total = await totals(database, ALL_TIME)
    assert (total.counts["requests"], total.cost_nanousd) == (4, 1_000_000 + 1_000_000 + 3)


async def test_calls_without_a_request_are_pruned_too(database: Database) -> None:
    await add_attempt(database, "explained", started_at=OLD, kind="classifier", model=KIMI)
    assert await count_prunable(database, CUT) == Pruned(0, 1)
    assert await prune(database, CUT) == Pruned(0, 1)
    [group] = await report(database, ALL_TIME, ("model",))
    assert (group.keys["model"], group.cost_nanousd) == (KIMI, 1_000_000)


async def test_pruned_rows_are_known_by_the_hour(database: Database) -> None:
    await add_exchange(database, started_at=OLD)
    await prune(database, CUT)
    late = Period("2026-01-10T12:20:00.000Z", None)
    assert (await totals(database, late)).counts["requests"] == 1
    next_hour = Period("2026-01-10T13:00:00.000Z", None)
    assert (await totals(database, next_hour)).counts.get("requests", 0) == 0
    until_hour = Period(None, "2026-01-10T12:00:00.000Z")
    assert (await totals(database, until_hour)).counts.get("requests", 0) == 0


async def run_once(task: asyncio.Task[None], database: Database) -> None:
    """Let a daily task do its first round: the writer takes jobs in their order."""

    def nothing(db: sqlite3.Connection) -> None:
        pass

    for _ in range(4):
        await asyncio.sleep(0)
        with contextlib.suppress(Exception):
            await database.transact(nothing)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_the_daily_task_prunes_what_is_older_than_its_days(database: Database) -> None:
    await add_exchange(database, started_at="2026-12-01T00:00:00.000Z")  # the clock: 2027-01-15
    kept = await add_exchange(database, started_at="2027-01-14T00:00:00.000Z")
    task = spawn(run_retention(database, 30, Clock(unix=1_800_000_000.0)), name="task")
    await run_once(task, database)
    assert await ids(database, "requests") == {kept}


async def test_the_rollup_task_sums_hours_that_are_over(database: Database) -> None:
    await add_exchange(database, started_at="2027-01-14T00:00:00.000Z")
    task = spawn(run_rollup(database, Clock(unix=1_800_000_000.0)), name="task")
    await run_once(task, database)
    [row] = await database.read("SELECT sum(requests) AS requests FROM request_hours")
    assert row["requests"] == 1


async def test_rollups_pass_an_integrity_check(database: Database) -> None:
    """F89: what people run first in doubt; SQLite 3.40 saw NULLs where there were none."""
    request = await add_request(database, started_at=OLD)
    await add_attempt(database, request, started_at=OLD)
    assert await roll_up(database, LATER) == 1
    assert [tuple(row) for row in await database.read("PRAGMA integrity_check")] == [("ok",)]


async def test_tasks_outlive_a_database_in_trouble(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """F86: what cannot be written today is tried again."""
    await change(database, "DROP TABLE request_hours")
    await change(database, "INSERT INTO stale_hours VALUES ('2026-01-01T00')")
    for job in (
        run_rollup(database, Clock(unix=1_800_000_000.0)),
        run_retention(database, 30, Clock(unix=1_800_000_000.0)),
    ):
        task = spawn(job, name="task")
        with caplog.at_level(logging.WARNING):
            await run_once(task, database)
        assert task.cancelled()
    assert [record.message[:30] for record in caplog.records] == [
        "hours could not be rolled up, ",
        "old rows could not be pruned, ",
    ]
