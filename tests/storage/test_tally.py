"""Rows that are counted together add up to what triggers would have counted one by one."""

import sqlite3
from collections.abc import Sequence
from typing import Any

import pytest

from llm_router.errors import StorageError
from llm_router.ledger.cost import Cost, CostSource, Usage
from llm_router.ledger.entry import (
    AttemptFinished,
    AttemptStarted,
    Entry,
    Outcome,
    RequestDecided,
    RequestFinished,
    RequestStarted,
)
from llm_router.ledger.fold import Fold
from llm_router.storage.ledger import SqliteLedger
from llm_router.storage.sqlite import Database
from tests.fakes import ledger
from tests.fakes.journal import read
from tests.ledger.entries import (
    T0,
    attempt_finished,
    attempt_started,
    request_finished,
    request_started,
    whole_request,
)

TOTALS = ("request_counters", "attempt_counters", "latency_counters", "stale_hours")
OUTCOMES: list[tuple[Outcome, str | None]] = [
    ("completed", None),
    ("failed", "transport"),
    ("truncated", "error_mid"),
    ("abandoned", "client_gone"),
]


def request(number: int) -> list[Entry]:
    """One of many unlike each other: labels, hours, latencies; some undecided, some in flight."""
    id, at = f"r{number:03}", T0 + number * 61
    outcome, error_class = OUTCOMES[number % len(OUTCOMES)]
    usage = Usage(number, 2 * number, None if number % 2 else 3, None)
    source: CostSource = "provider" if number % 3 else "unknown"
    cost = Cost(number * 1000 if number % 3 else None, source)
    first_ms, ms = (None if number % 2 else number), number * number * 7
    entries: list[Entry] = [
        RequestStarted(id, at, "router", bool(number % 2), "laptop", None),
        RequestDecided(id, f"category {number % 5}", "keywords", None, 0),
        AttemptStarted(id + ".1", id, 1, "chat", f"vendor/{number % 4}", at),
        AttemptFinished(
            id + ".1",
            at + 1,
            outcome,
            200,
            error_class,
            None,
            None,
            None,
            usage,
            cost,
            first_ms,
            ms,
        ),
        RequestFinished(
            id, at + 1, outcome, 200, error_class, None, 1, usage, cost, first_ms, ms, number
        ),
    ]
    if number % 7 == 0:
        del entries[1]
    return entries[:3] if number % 11 == 0 else entries


async def tell(database: Database, entries: Sequence[Entry]) -> None:
    fold = Fold(T0)
    fold.add(read(*entries), "p1")
    await SqliteLedger(database).apply(fold.batch)


async def totals(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: [
            tuple(row) for row in await database.read(f"SELECT * FROM {table} ORDER BY 1, 2, 3")
        ]
        for table in TOTALS[:3]
    } | {"stale_hours": [tuple(row) for row in await database.read("SELECT * FROM stale_hours")]}


async def copy_rows(source: Database, target: Database) -> None:
    """Write each row by itself, so that triggers count it."""
    for table in ("requests", "attempts"):
        for row in await source.read(f"SELECT * FROM {table}"):
            await ledger.tell(target, table, dict(row))


@pytest.mark.parametrize("per_batch", [1, 7, 64, 1000])
async def test_however_rows_come_the_totals_are_the_triggers(
    database: Database, other: Database, per_batch: int
) -> None:
    entries = [entry for number in range(1, 90) for entry in request(number)]
    for start in range(0, len(entries), per_batch):
        await tell(database, entries[start : start + per_batch])
    await copy_rows(database, other)
    counted = await totals(database)
    assert counted == await totals(other)
    assert all(counted[table] for table in TOTALS)


async def test_a_beginning_that_is_told_again_neither_fails_nor_counts_twice(
    database: Database, other: Database
) -> None:
    """Its row is there already, among others that are not."""
    await tell(database, [request_started("r1"), attempt_started("a1", "r1")])
    await tell(database, [*whole_request("r1", "a1"), *whole_request("r2", "a2")])
    await tell(database, [*whole_request("r1", "a1"), *whole_request("r3", "a3")])
    rows = await database.read("SELECT id, outcome FROM requests ORDER BY id")
    assert [tuple(row) for row in rows] == [(id, "completed") for id in ("r1", "r2", "r3")]
    await copy_rows(database, other)
    assert await totals(database) == await totals(other)


async def test_nothing_is_counted_once_sqlite_has_ended_the_transaction(
    database: Database,
) -> None:
    """F84: a full disk may end it in the middle of the rows."""

    def break_attempts(db: sqlite3.Connection) -> None:
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON attempts "
            "BEGIN SELECT raise(ROLLBACK, 'disk full'); END"
        )

    await database.transact(break_attempts)
    with pytest.raises(StorageError, match="disk full"):
        await tell(database, whole_request())
    assert not any((await totals(database)).values())


async def test_an_end_without_a_beginning_counts(database: Database, other: Database) -> None:
    """The frame in which it began was damaged."""
    await tell(database, [request_finished("r1"), attempt_finished("a1")])
    await copy_rows(database, other)
    counted = await totals(database)
    assert counted == await totals(other)
    assert all(counted[table] for table in TOTALS)


async def test_triggers_count_after_a_batch(database: Database, other: Database) -> None:
    await tell(database, whole_request("r1", "a1"))
    await tell(other, whole_request("r2", "a2"))
    await copy_rows(other, database)
    assert [row["requests"] for row in await database.read("SELECT * FROM request_counters")] == [2]
    assert [row["attempts"] for row in await database.read("SELECT * FROM attempt_counters")] == [2]
