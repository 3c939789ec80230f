"""However long requests wait to become rows, and whoever dies meanwhile, the rows are the same."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_router.errors import StorageError
from llm_router.ledger import waiting
from llm_router.ledger.entry import AttemptStarted, Entry, RequestSent, RequestStarted
from llm_router.ledger.ingest import Ingestor
from llm_router.ledger.journal import Journal, open_journal
from llm_router.ledger.waiting import HOLD_S
from llm_router.settings import LedgerSettings
from llm_router.storage.ledger import SqliteLedger
from llm_router.storage.sqlite import Database, open_database
from tests.fakes.effort import examples
from tests.ledger.clock import MovableClock
from tests.ledger.entries import (
    T0,
    attempt_answered,
    attempt_finished,
    request_finished,
    request_sent,
    request_served,
)

REQUESTS = "SELECT id, outcome FROM requests ORDER BY id"
WAITING = "SELECT count(*) FROM journal_waiting"


@pytest.fixture
def ledger(tmp_path: Path) -> LedgerSettings:
    return LedgerSettings(path=tmp_path / "router.db")


@pytest.fixture
async def database(ledger: LedgerSettings) -> AsyncIterator[Database]:
    async with open_database(ledger.path, busy_timeout_s=0.01) as database:
        yield database


@pytest.fixture
async def journal(ledger: LedgerSettings, database: Database) -> AsyncIterator[Journal]:
    async with open_journal(ledger) as journal:
        yield journal


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def ingestor(database: Database, ledger: LedgerSettings, clock: MovableClock) -> Ingestor:
    return Ingestor(SqliteLedger(database), ledger.journals, clock)


async def rows(database: Database, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await database.read(sql)]


async def test_a_request_that_ends_within_seconds_is_a_row_once(
    database: Database, journal: Journal, ingestor: Ingestor, clock: MovableClock
) -> None:
    await database.transact(lambda db: db.execute("CREATE TABLE updates (id TEXT) STRICT"))
    for table in ("requests", "attempts"):
        trigger = f"CREATE TRIGGER t_{table} AFTER UPDATE ON {table} "
        body = "BEGIN INSERT INTO updates VALUES (NEW.id); END"
        await database.transact(lambda db, sql=trigger + body: db.execute(sql))  # type: ignore[misc]
    journal.append(request_sent())
    assert await ingestor.poll()
    assert await rows(database, REQUESTS) == []
    clock.now += HOLD_S / 2
    journal.append(attempt_answered("r1.1"))
    await ingestor.poll()
    clock.now += HOLD_S / 4
    journal.append(request_served())
    await ingestor.poll()
    assert await rows(database, REQUESTS) == [("r1", "completed")]
    assert await rows(database, "SELECT * FROM updates") == []
    assert await rows(database, WAITING) == [(0,)]


async def test_a_long_request_is_a_row_before_its_end(
    database: Database, journal: Journal, ingestor: Ingestor, clock: MovableClock
) -> None:
    journal.append(request_sent("r1"))
    await ingestor.poll()
    clock.now += HOLD_S / 2
    journal.append(request_sent("r2"))
    await ingestor.poll()
    clock.now += HOLD_S / 2
    assert await ingestor.poll()
    assert await rows(database, REQUESTS) == [("r1", None)]
    clock.now += HOLD_S / 2
    await ingestor.poll()
    assert await rows(database, REQUESTS) == [("r1", None), ("r2", None)]
    assert await rows(database, WAITING) == [(0,)]
    journal.append(request_served("r2"))
    await ingestor.poll()
    assert await rows(database, REQUESTS) == [("r1", None), ("r2", "completed")]


async def test_whoever_wants_to_read_sees_what_has_just_begun(
    database: Database, journal: Journal, ingestor: Ingestor
) -> None:
    journal.append(request_sent())
    await ingestor.poll()
    await ingestor.flush()
    assert await rows(database, REQUESTS) == [("r1", None)]
    assert await rows(database, WAITING) == [(0,)]


async def test_waiting_and_having_nothing_to_do_writes_nothing(
    database: Database, journal: Journal, ingestor: Ingestor
) -> None:
    journal.append(request_sent())
    await ingestor.poll()
    before = await rows(database, "PRAGMA data_version")
    assert not await ingestor.poll()
    assert await rows(database, "PRAGMA data_version") == before


async def test_what_a_dead_process_had_just_begun_is_lost_and_its_cost_asked_for(
    database: Database, ledger: LedgerSettings, ingestor: Ingestor
) -> None:
    """F69: also when nobody is left who ever read it, and its journal is gone."""
    async with open_journal(ledger) as journal:
        journal.append(request_sent("r1"))
        await ingestor.poll()
        journal.append(attempt_answered("r1.1"), request_sent("r2"))
        await ingestor.poll()
    for segment in ledger.journals.glob("*.journal"):
        segment.unlink()
    await Ingestor(SqliteLedger(database), ledger.journals, MovableClock()).recover()
    assert await rows(database, REQUESTS) == [("r1", "lost"), ("r2", "lost")]
    assert await rows(database, "SELECT attempt_id FROM reconciliations") == [("r1.1",)]
    assert await rows(database, WAITING) == [(0,)]


async def test_more_than_may_wait_are_rows_the_oldest_first(
    database: Database, journal: Journal, ingestor: Ingestor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T23."""
    monkeypatch.setattr(waiting, "MAX_WAITING", 2)
    for number in range(5):
        journal.append(request_sent(f"r{number}"))
        await ingestor.poll()
    assert await rows(database, REQUESTS) == [("r0", None), ("r1", None)]


async def test_one_that_no_table_takes_costs_only_itself(
    database: Database,
    journal: Journal,
    ingestor: Ingestor,
    clock: MovableClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun = RequestStarted("bad", T0, "router", True, None, None)
    bad = AttemptStarted("bad.1", "bad", 2**63, "chat", "m", T0)
    journal.append(request_sent("r1"))
    journal.append(RequestSent("bad", (begun, bad)))
    journal.append(request_sent("r2"))
    await ingestor.poll()
    clock.now += HOLD_S
    journal.append(request_served("r2"))
    await ingestor.poll()
    assert await rows(database, REQUESTS) == [("r1", None), ("r2", "completed")]
    assert await rows(database, WAITING) == [(0,)]
    assert "bad: left out of the ledger" in caplog.text


async def test_what_cannot_be_read_again_stops_nothing(
    database: Database, journal: Journal, ingestor: Ingestor, caplog: pytest.LogCaptureFixture
) -> None:
    await database.transact(
        lambda db: db.execute("INSERT INTO journal_waiting VALUES (7, 'p', x'c1')")
    )
    journal.append(request_sent())
    await ingestor.flush()
    assert await rows(database, REQUESTS) == [("r1", None)]
    assert await rows(database, WAITING) == [(0,)]
    assert "not understood" in caplog.text


def story(number: int) -> list[list[Entry]]:
    """How a request may go, frame by frame."""
    id = f"r{number}"
    sent: list[Entry] = [request_sent(id)]
    answered: list[Entry] = [attempt_answered(f"{id}.1", f"gen-{number}")]
    served: list[Entry] = [request_served(id)]
    failed: list[Entry] = [
        attempt_finished(f"{id}.1", outcome="failed", generation_id=None),
        request_finished(id, outcome="failed"),
    ]
    stories: list[list[list[Entry]]] = [
        [sent, served],
        [sent, answered, served],
        [sent, answered, failed],
        [sent, failed],
        [sent, answered],
        [sent],
    ]
    return stories[number % 6]


STEPS = st.lists(
    st.sampled_from(["say", "say", "say", "poll", "poll", "flush", "wait", "die", "lock"]),
    max_size=40,
)


@settings(max_examples=examples(40), deadline=None)
@given(steps=STEPS, turns=st.randoms(use_true_random=False))
def test_whatever_happens_meanwhile_the_rows_are_the_same(
    steps: list[str], turns: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """F69: ingesting processes that are killed between any two transactions, a locked database."""
    frames = [story(number) for number in range(8)]
    order = [number for number, story in enumerate(frames) for _ in story]
    turns.shuffle(order)
    said: list[list[Entry]] = []

    async def live(path: Path) -> dict[str, list[tuple[Any, ...]]]:
        ledger, clock = LedgerSettings(path=path), MovableClock()
        told = [list(frames) for frames in map(story, range(8))]
        async with open_database(path, busy_timeout_s=0.001) as database, open_journal(ledger) as j:
            store = SqliteLedger(database)
            ingestor = Ingestor(store, ledger.journals, clock)
            for step, number in zip(steps, order, strict=False):
                if step == "say":
                    said.append(told[number].pop(0))
                    j.append(*said[-1])
                elif step == "wait":
                    clock.now += HOLD_S * 0.4
                elif step == "die":
                    ingestor = Ingestor(store, ledger.journals, clock)
                elif step == "lock":
                    await _fail(ingestor, database)
                else:
                    await getattr(ingestor, step)()
            await ingestor.flush()
            return await everything(database)

    async def plain(path: Path) -> dict[str, list[tuple[Any, ...]]]:
        ledger = LedgerSettings(path=path)
        async with open_database(path) as database, open_journal(ledger) as journal:
            ingestor = Ingestor(SqliteLedger(database), ledger.journals, MovableClock())
            for entries in said:
                journal.append(*entries)
            await ingestor.flush()
            return await everything(database)

    folder = tmp_path_factory.mktemp("waiting")
    assert asyncio.run(live(folder / "a.db")) == asyncio.run(plain(folder / "b.db"))


async def _fail(ingestor: Ingestor, database: Database) -> None:
    """Let the database take nothing, once it has been asked to."""

    class Locked(SqliteLedger):
        async def apply(self, batch: object) -> None:
            raise StorageError("locked")

    store, ingestor._store = ingestor._store, Locked(database)
    try:
        await ingestor.poll()
    except StorageError:
        pass
    finally:
        ingestor._store = store


async def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    tables = {
        "requests": "id",
        "attempts": "id",
        "request_counters": "category, classifier, outcome",
        "attempt_counters": "model, kind, outcome, error_class",
        "latency_counters": "measure, category, le_ms",
        "stale_hours": "hour",
        "reconciliations": "attempt_id",
        "journal_waiting": "number",
    }
    found = {}
    for table, order in tables.items():
        columns = await database.read(f"SELECT name FROM pragma_table_info('{table}')")
        names = ", ".join(row["name"] for row in columns if row["name"] != "process")
        found[table] = await rows(database, f"SELECT {names} FROM {table} ORDER BY {order}")
    return found
