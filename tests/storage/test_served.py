"""However a request that one call served is told, its rows and the totals are the same."""

from collections.abc import Iterable
from typing import Any

import pytest
from msgspec.structs import replace

from llm_router.errors import RowRefused
from llm_router.ledger.compact import RequestServed
from llm_router.ledger.cost import Usage
from llm_router.ledger.entry import Entry
from llm_router.ledger.fold import Fold
from llm_router.ledger.served import told
from llm_router.storage import served
from llm_router.storage.ledger import SqliteLedger
from llm_router.storage.sqlite import Database
from llm_router.storage.tally import BOUNDS
from tests.fakes.journal import read
from tests.ledger.entries import (
    LABELS,
    T0,
    attempt_answered,
    request_finished,
    request_sent,
    request_served,
    whole_request,
)

TABLES = {
    "requests": "id",
    "attempts": "id",
    "request_counters": "category, classifier, outcome",
    "attempt_counters": "model, kind, outcome, error_class",
    "latency_counters": "measure, category, le_ms",
    "stale_hours": "hour",
    "reconciliations": "attempt_id",
}
ASKED, ANSWERED = LABELS
UNLIKE = [
    (
        replace(ASKED, client_key=None),
        replace(ANSWERED, provider=None, answered_as=None, note=None),
    ),
    (
        replace(ASKED, requested_model=None, is_stream=False, category="tools", runner_up="code"),
        ANSWERED,
    ),
    (
        replace(ASKED, model="a/b", skipped="s", left_out="{}"),
        replace(ANSWERED, cost_source="computed"),
    ),
]


async def tell(database: Database, entries: Iterable[Entry], process: str = "p1") -> None:
    """Let the ledger hear of these in one batch."""
    fold = Fold(T0)
    fold.add(read(*entries), process)
    assert fold.misread == []
    await SqliteLedger(database).apply(fold.batch)


async def tell_plainly(database: Database, entries: Iterable[Entry]) -> None:
    """Let the ledger hear of each fact by itself."""
    for entry in read(*entries):
        facts = told(entry) if isinstance(entry, RequestServed) else [entry]
        for fact in facts:
            fold = Fold(T0)
            fold.add([fact], "p1")
            await SqliteLedger(database).apply(fold.batch)


async def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: [
            tuple(row) for row in await database.read(f"SELECT * FROM {table} ORDER BY {order}")
        ]
        for table, order in TABLES.items()
    }


async def test_a_served_request_is_the_row_that_its_facts_come_to(
    database: Database, other: Database
) -> None:
    await tell(database, [request_sent(), request_served()])
    await tell(other, whole_request("r1", "r1.1"))
    assert await everything(database) == await everything(other)


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (1, 2)], ids=str)
async def test_however_its_entries_fall_into_batches_the_rows_are_the_same(
    database: Database, other: Database, cuts: tuple[int, ...]
) -> None:
    """A call mostly takes longer than it takes to make a row of its beginning."""
    entries = [request_sent(), attempt_answered("r1.1"), request_served()]
    for start, end in zip((0, *cuts), (*cuts, len(entries)), strict=True):
        await tell(database, entries[start:end])
    await tell_plainly(other, entries)
    assert await everything(database) == await everything(other)


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (1, 2)], ids=str)
async def test_a_correction_finds_its_row_however_the_entries_fall_into_batches(
    database: Database, cuts: tuple[int, ...]
) -> None:
    """F51: the client left while an answer was written that was booked already."""
    gone = request_finished(outcome="abandoned", cost=None, source="unknown", error_class="left")
    entries = [request_sent(), request_served(), replace(gone, usage=Usage())]
    for start, end in zip((0, *cuts), (*cuts, len(entries)), strict=True):
        await tell(database, entries[start:end])
    [request] = await database.read("SELECT * FROM requests")
    assert (request["outcome"], request["error_class"]) == ("abandoned", "left")
    [attempt] = await database.read("SELECT * FROM attempts")
    assert attempt["outcome"] == "completed"
    for column in ("prompt_tokens", "cost_nanousd", "cost_source"):
        assert request[column] == attempt[column] is not None


async def test_an_end_whose_beginning_is_missing_tells_all_of_it(
    database: Database, other: Database
) -> None:
    """The frame in which it began was damaged."""
    await tell(database, [request_served()])
    await tell(other, whole_request("r1", "r1.1"))
    assert await everything(database) == await everything(other)


async def test_of_those_that_end_together_some_may_have_no_row_in_flight(
    database: Database, other: Database
) -> None:
    """The beginning of one was damaged; another was taken for lost."""
    for ledger, hear in ((database, tell), (other, tell_plainly)):
        await hear(ledger, [request_sent("r1")])
        await SqliteLedger(ledger).bury("p1", "2026-01-31T12:00:01.000Z")
        await hear(ledger, [request_sent("r2")])
        await hear(ledger, [request_served(id) for id in ("r1", "r2", "r3")])
    assert await everything(database) == await everything(other)
    rows = await database.read(
        "SELECT outcome FROM requests UNION ALL SELECT outcome FROM attempts"
    )
    assert [row["outcome"] for row in rows] == ["completed"] * 6


@pytest.mark.parametrize("count", [1, 5, 70, 150])
async def test_many_unlike_each_other_are_each_told_right(
    database: Database, other: Database, count: int
) -> None:
    """Labels, hours, latencies, several processes; numbers that a provider leaves out."""
    entries: list[Entry] = []
    for number in range(count):
        id, at = f"r{number:03}", T0 + number * 61
        usage = Usage(number, None if number % 5 else 7, number, None)
        labels, first_ms = [LABELS, *UNLIKE][number % 4], None if number % 3 else number
        if number % 7:
            entries.append(request_sent(id, at, labels))
        entries.append(request_served(id, at, labels, usage, number, first_ms))
    await tell(database, entries)
    await tell_plainly(other, entries)
    assert await everything(database) == await everything(other)


async def test_processes_that_say_the_same_keep_their_names(database: Database) -> None:
    fold = Fold(T0)
    for process in ("p1", "p2"):
        fold.add(read(request_sent(process), request_served(process)), process)
    await SqliteLedger(database).apply(fold.batch)
    for table in ("requests", "attempts"):
        rows = await database.read(f"SELECT id, process FROM {table}")
        assert {(row["id"][:2], row["process"]) for row in rows} == {("p1", "p1"), ("p2", "p2")}


@pytest.mark.parametrize("usage", [Usage(-1, 1), Usage(1, 2**40), Usage(1, 1, -(2**63), 2)])
async def test_what_no_column_holds_is_unknown(database: Database, usage: Usage) -> None:
    """F38: whatever a provider claims, the row is valid."""
    await tell(database, [request_sent(), request_served(usage=usage, cost=10**16)])
    (row,) = await database.read("SELECT * FROM requests")
    assert (row["outcome"], row["cost_nanousd"], row["cost_source"]) == (
        "completed",
        None,
        "unknown",
    )
    assert None in (row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"])


async def test_one_that_is_there_already_refuses_the_batch_and_alone_is_merged(
    database: Database,
) -> None:
    await tell(database, [request_sent(), request_served()])
    before = await everything(database)
    with pytest.raises(RowRefused):
        await tell(database, [request_sent(), request_served()])
    for entry in (request_sent(), request_served()):
        await tell(database, [entry])
    assert await everything(database) == before


async def test_labels_that_a_failed_transaction_took_back_are_written_again(
    database: Database, other: Database
) -> None:
    ledger = SqliteLedger(database)

    async def write(*entries: Entry) -> None:
        fold = Fold(T0)
        fold.add(read(*entries), "p1")
        await ledger.apply(fold.batch)

    new = [request_sent("r2", labels=UNLIKE[0]), request_served("r2", labels=UNLIKE[0])]
    await write(request_sent("r1"), request_served("r1"))
    with pytest.raises(RowRefused):
        await write(request_sent("r1"), request_served("r1"), *new)
    await write(*new)
    await tell(other, [request_sent("r1"), request_served("r1"), *new])
    assert await everything(database) == await everything(other)


async def test_more_labels_than_are_kept_are_each_written(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T23: providers name themselves, and there may be any number of them."""
    monkeypatch.setattr(served, "_MOST_LABELS", 3)
    ledger = SqliteLedger(database)
    for number in range(12):
        labels = ASKED, replace(ANSWERED, provider=f"p{number % 7}")
        fold = Fold(T0)
        id = f"r{number:02}"
        fold.add(read(request_sent(id, labels=labels), request_served(id, labels=labels)), "p1")
        await ledger.apply(fold.batch)
    rows = await database.read("SELECT provider FROM attempts ORDER BY id")
    assert [row["provider"] for row in rows] == [f"p{number % 7}" for number in range(12)]
    assert len(ledger._known) <= 4


async def test_the_buckets_that_are_counted_in_are_those_of_the_table(database: Database) -> None:
    rows = await database.read("SELECT le_ms FROM latency_buckets ORDER BY le_ms")
    assert [row["le_ms"] for row in rows] == list(BOUNDS)
