import asyncio
import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_router.errors import RowRefused, StorageError
from llm_router.ledger import segments, tail
from llm_router.ledger.entry import AttemptStarted, Entry, RequestStarted
from llm_router.ledger.frames import frame, split
from llm_router.ledger.ingest import Ingestor
from llm_router.ledger.journal import Journal, open_journal
from llm_router.ledger.rows import Batch
from llm_router.ledger.segments import Segment
from llm_router.settings import LedgerSettings
from llm_router.storage.ledger import SqliteLedger
from llm_router.storage.sqlite import Database, open_database
from llm_router.tasks import spawn
from tests.fakes.effort import examples
from tests.ledger.clock import MovableClock
from tests.ledger.entries import (
    attempt_answered,
    attempt_finished,
    attempt_started,
    breaker_changed,
    request_finished,
    request_sent,
    request_served,
    request_started,
    whole_request,
)

REPOSITORY = Path(__file__).parents[2]
encode = msgspec.msgpack.Encoder().encode


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
def ingestor(database: Database, ledger: LedgerSettings) -> Ingestor:
    return Ingestor(SqliteLedger(database), ledger.journals, MovableClock())


async def rows(database: Database, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await database.read(sql)]


def dead_segment(folder: Path, *frames: bytes, process: str = "0-1-dead", number: int = 0) -> Path:
    """A segment whose process is gone: nobody holds its lock."""
    path = folder / Segment(process, number).name
    path.write_bytes(b"".join(frames))
    return path


def framed(*entries: Entry) -> bytes:
    return frame(encode(entries))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """A human who typed BEGIN IMMEDIATE into the sqlite3 shell and went to lunch."""
    with closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        yield
        shell.execute("ROLLBACK")


async def test_a_request_is_a_row_as_soon_as_it_was_journaled(
    database: Database, journal: Journal, ingestor: Ingestor
) -> None:
    journal.append(request_started())
    await ingestor.flush()
    assert await rows(database, "SELECT id, outcome, process FROM requests") == [
        ("r1", None, journal.process)
    ]
    journal.append(*whole_request()[1:])
    await ingestor.flush()
    assert await rows(
        database, "SELECT id, category, outcome, cost_nanousd, cost_source FROM requests"
    ) == [("r1", "code", "completed", 1500, "provider")]
    assert await rows(database, "SELECT request_id, seq, outcome, provider FROM attempts") == [
        ("r1", 1, "completed", "Z.AI")
    ]


async def test_nothing_new_writes_nothing(
    database: Database, journal: Journal, ingestor: Ingestor
) -> None:
    journal.append(*whole_request())
    assert await ingestor.flush()
    (before,) = await rows(database, "PRAGMA data_version")
    assert not await ingestor.flush()
    assert await rows(database, "PRAGMA data_version") == [before]


async def test_a_journal_read_twice_makes_each_row_once(
    database: Database, ledger: LedgerSettings, journal: Journal
) -> None:
    """F69: another ingesting process takes over where the last one was killed."""
    journal.append(*whole_request(), breaker_changed())
    for _ in range(3):
        await Ingestor(SqliteLedger(database), ledger.journals, MovableClock()).flush()
    assert await rows(database, "SELECT count(*) FROM requests") == [(1,)]
    assert await rows(database, "SELECT count(*) FROM breaker_transitions") == [(1,)]


async def test_of_two_that_read_at_once_one_is_turned_away(
    database: Database, ledger: LedgerSettings, journal: Journal
) -> None:
    journal.append(breaker_changed())
    first, second = (
        Ingestor(SqliteLedger(database), ledger.journals, MovableClock()) for _ in range(2)
    )
    await first.flush()
    await second.flush()
    journal.append(breaker_changed("another"))
    await first.flush()
    with pytest.raises(StorageError, match="two at once"):
        await second.flush()
    await second.flush()
    assert await rows(database, "SELECT count(*) FROM breaker_transitions") == [(2,)]


async def test_a_position_is_written_with_its_rows_or_not_at_all(
    database: Database, ledger: LedgerSettings, journal: Journal, ingestor: Ingestor
) -> None:
    journal.append(*whole_request())

    def break_attempts(db: Any) -> None:
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON attempts "
            "BEGIN SELECT raise(ROLLBACK, 'disk full'); END"
        )

    def mend(db: Any) -> None:
        db.execute("DROP TRIGGER full")

    store = SqliteLedger(database)
    await database.transact(break_attempts)
    taken = await tail.Tail(ledger.journals).take(0)
    with pytest.raises(StorageError, match="disk full"):
        await store.apply(taken.batch)
    assert await rows(database, "SELECT * FROM journal_offsets") == []
    assert await rows(database, "SELECT * FROM requests") == []
    await database.transact(mend)
    await ingestor.flush()
    assert await store.offsets() == {a.segment: a.end for a in taken.batch.advances}


async def test_a_cancelled_flush_neither_loses_nor_doubles(
    database: Database, journal: Journal, ingestor: Ingestor
) -> None:
    """An admin request that asks for fresh rows may be abandoned in the middle of the write."""
    for number in range(20):
        journal.append(breaker_changed(f"m{number}"))
        flush = asyncio.ensure_future(ingestor.flush())
        for _ in range(number):
            await asyncio.sleep(0)
        flush.cancel()
        await asyncio.gather(flush, return_exceptions=True)
    await ingestor.flush()
    assert await rows(database, "SELECT count(*) FROM breaker_transitions") == [(20,)]


async def test_more_than_a_batch_is_moved_in_several(
    database: Database, journal: Journal, ingestor: Ingestor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "BATCH_BYTES", 600)
    long_session = RequestStarted("long", 1.0, "router", False, None, "s" * 5000)
    for number in range(20):
        journal.append(*whole_request(f"r{number}", f"a{number}"))
    journal.append(long_session)
    await ingestor.flush()
    assert await rows(database, "SELECT count(*), count(outcome) FROM requests") == [(21, 20)]


async def test_a_locked_database_delays_rows_and_not_appends(
    database: Database, ledger: LedgerSettings, journal: Journal, ingestor: Ingestor
) -> None:
    """F86."""
    with locked(ledger.path):
        journal.append(*whole_request())
        with pytest.raises(StorageError, match="locked by another program"):
            await ingestor.flush()
        assert await rows(database, "SELECT * FROM requests") == []
    await ingestor.flush()
    assert await rows(database, "SELECT outcome FROM requests") == [("completed",)]


async def test_the_running_task_waits_for_the_database_and_goes_on(
    database: Database,
    ledger: LedgerSettings,
    journal: Journal,
    ingestor: Ingestor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """F86, F88: told once when it begins and once when it is over."""
    monkeypatch.setattr("llm_router.ledger.ingest._RETRY_S", 0.001)
    monkeypatch.setattr("llm_router.ledger.ingest.POLL_S", 0.001)
    with locked(ledger.path):
        journal.append(*whole_request())
        task = spawn(ingestor.run(), name="ingest")
        async with asyncio.timeout(5):
            while not ingestor.is_failing:  # noqa: ASYNC110  as health asks it
                await asyncio.sleep(0.001)
    async with asyncio.timeout(5):
        while ingestor.is_failing:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert await rows(database, "SELECT outcome FROM requests") == [("completed",)]
    await ingestor.drain()
    await task
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]


async def test_draining_moves_the_last_rows(
    database: Database, ledger: LedgerSettings, ingestor: Ingestor
) -> None:
    """F66: after an orderly stop every row is there, and no journal is left."""
    await ingestor.recover()
    task = spawn(ingestor.run(), name="ingest")
    async with open_journal(ledger) as journal:
        journal.append(*whole_request())
    await ingestor.drain()
    await task
    assert await rows(database, "SELECT outcome FROM requests") == [("completed",)]
    assert segments.listed(ledger.journals) == []
    assert await rows(database, "SELECT * FROM journal_offsets") == []


async def test_draining_into_a_locked_database_leaves_the_journal(
    ledger: LedgerSettings, journal: Journal, ingestor: Ingestor, caplog: pytest.LogCaptureFixture
) -> None:
    journal.append(*whole_request())
    with locked(ledger.path):
        await ingestor.drain()
    assert len(segments.listed(ledger.journals)) == 1
    assert "waits in the journal" in caplog.text


async def test_the_running_task_notices_dead_processes(
    database: Database, ledger: LedgerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F69: a worker that was killed while others serve."""
    monkeypatch.setattr("llm_router.ledger.ingest.POLL_S", 0.001)
    clock = MovableClock()
    ingestor = Ingestor(SqliteLedger(database), ledger.journals, clock)
    path = dead_segment(ledger.journals, framed(request_started()))
    task = spawn(ingestor.run(), name="ingest")
    clock.now += 2
    async with asyncio.timeout(5):
        while path.exists():
            await asyncio.sleep(0.001)
            clock.now += 2
    await ingestor.drain()
    await task
    assert await rows(database, "SELECT outcome FROM requests") == [("lost",)]


async def test_what_a_dead_process_left_open_is_lost_and_its_cost_asked_for(
    database: Database, ledger: LedgerSettings, ingestor: Ingestor
) -> None:
    """F69, F74: exactly one row for each call that may have been paid."""
    dead_segment(
        ledger.journals,
        framed(*whole_request("r0", "a0")),
        framed(request_started("r1"), attempt_started("a1", "r1"), attempt_answered("a1")),
        framed(request_started("r2"), attempt_started("a2", "r2")),
        framed(request_started("r3")),
        framed(request_started("r4"), attempt_started("a4", "r4"), attempt_finished("a4", cost=9)),
    )
    await ingestor.recover()
    assert await rows(
        database,
        "SELECT id, outcome, error_class, finished_at, attempts, cost_nanousd, cost_source "
        "FROM requests ORDER BY id",
    ) == [
        ("r0", "completed", None, "2026-01-31T12:00:02.000Z", 1, 1500, "provider"),
        ("r1", "lost", "process_died", "2026-01-31T13:00:00.000Z", 1, None, "unknown"),
        ("r2", "lost", "process_died", "2026-01-31T13:00:00.000Z", 1, None, "unknown"),
        ("r3", "lost", "process_died", "2026-01-31T13:00:00.000Z", 0, 0, "computed"),
        ("r4", "lost", "process_died", "2026-01-31T13:00:00.000Z", 1, 9, "provider"),
    ]
    assert await rows(
        database, "SELECT id, outcome, error_class, cost_source FROM attempts ORDER BY id"
    ) == [
        ("a0", "completed", None, "provider"),
        ("a1", "lost", "process_died", "unknown"),
        ("a2", "lost", "process_died", "unknown"),
        ("a4", "completed", None, "provider"),
    ]
    assert await rows(database, "SELECT attempt_id, generation_id FROM reconciliations") == [
        ("a1", "gen-1")
    ]
    assert segments.listed(ledger.journals) == []
    assert await rows(database, "SELECT * FROM journal_offsets") == []


async def test_what_a_process_said_with_its_last_breath_is_heard(
    database: Database, ledger: LedgerSettings, ingestor: Ingestor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended its call and died between our last look at its journal and at its lock."""
    path = dead_segment(ledger.journals, framed(request_started(), attempt_started()))
    held = segments.held

    def late(folder: Path, found: list[Segment]) -> Any:
        with path.open("ab") as file:
            file.write(framed(attempt_finished(), request_finished()))
        return held(folder, found)

    monkeypatch.setattr(segments, "held", late)
    await ingestor.recover()
    assert await rows(database, "SELECT outcome FROM requests") == [("completed",)]


async def test_a_living_process_is_not_buried(
    database: Database, ledger: LedgerSettings, journal: Journal, ingestor: Ingestor
) -> None:
    """F72: stopped is not dead, the lock says so."""
    journal.append(request_started(), attempt_started())
    await ingestor.recover()
    assert await rows(database, "SELECT outcome FROM requests") == [(None,)]
    assert len(segments.listed(ledger.journals)) == 1
    journal.append(attempt_finished(), request_finished())
    await ingestor.flush()
    assert await rows(database, "SELECT outcome FROM requests") == [("completed",)]


async def test_rows_whose_journal_has_vanished_are_lost_too(
    database: Database, ledger: LedgerSettings, ingestor: Ingestor
) -> None:
    path = dead_segment(ledger.journals, framed(request_started(), attempt_started()))
    await ingestor.flush()
    path.unlink()
    await Ingestor(SqliteLedger(database), ledger.journals, MovableClock()).recover()
    assert await rows(database, "SELECT outcome FROM requests") == [("lost",)]
    assert await rows(database, "SELECT outcome FROM attempts") == [("lost",)]
    assert await rows(database, "SELECT * FROM journal_offsets") == []


async def test_segments_a_living_process_has_finished_are_removed(
    database: Database, ledger: LedgerSettings, ingestor: Ingestor
) -> None:
    journal = Journal(ledger.journals, sync_s=1, segment_bytes=300)
    for number in range(6):
        journal.append(*whole_request(f"r{number}", f"a{number}"))
    await journal.sync()
    newest = segments.listed(ledger.journals)[-1]
    await ingestor.recover()
    assert segments.listed(ledger.journals) == [newest]
    assert await rows(database, "SELECT count(*) FROM requests") == [(6,)]
    journal.close()


async def test_a_process_that_moves_to_its_next_segment_is_not_taken_for_dead(
    database: Database, ledger: LedgerSettings, ingestor: Ingestor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder was listed, then the process went on to a new segment and closed the former."""
    journal = Journal(ledger.journals, sync_s=1, segment_bytes=1)
    journal.append(request_started())
    await journal.sync()
    everything = segments.listed
    calls: list[Path] = []

    def before_the_move(folder: Path) -> list[Segment]:
        calls.append(folder)
        return everything(folder)[:1] if len(calls) <= 2 else everything(folder)

    monkeypatch.setattr(segments, "listed", before_the_move)
    await ingestor.recover()
    monkeypatch.undo()
    assert await rows(database, "SELECT outcome FROM requests") == [(None,)]
    journal.append(request_finished())
    await ingestor.flush()
    assert await rows(database, "SELECT outcome FROM requests") == [("completed",)]
    journal.close()


async def test_the_torn_tail_of_a_living_process_is_waited_for(
    database: Database, ledger: LedgerSettings, ingestor: Ingestor
) -> None:
    whole = framed(*whole_request("r1", "a1"))
    segment, fd = segments.create(ledger.journals, "1-2-alive", 0)
    os.write(fd, framed(request_started("r0")) + whole[:50])
    await ingestor.recover()
    assert await rows(database, "SELECT id FROM requests") == [("r0",)]
    os.write(fd, whole[50:])
    await ingestor.flush()
    assert await rows(database, "SELECT id FROM requests ORDER BY id") == [("r0",), ("r1",)]
    os.close(fd)
    assert (ledger.journals / segment.name).exists()


async def test_the_torn_tail_of_a_dead_process_is_dropped_and_told(
    database: Database,
    ledger: LedgerSettings,
    ingestor: Ingestor,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """F91."""
    dead_segment(ledger.journals, framed(*whole_request()), framed(request_started("r2"))[:-1])
    await ingestor.recover()
    assert await rows(database, "SELECT id FROM requests") == [("r1",)]
    assert segments.listed(ledger.journals) == []
    assert "ends inside an entry" in caplog.text


async def test_a_damaged_journal_is_kept_and_stops_nothing(
    database: Database,
    ledger: LedgerSettings,
    ingestor: Ingestor,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """F89: the rows before the damage are taken, the file is there for whoever wants the rest."""
    whole, broken = framed(*whole_request()), bytearray(framed(*whole_request("r2", "a2")))
    broken[20] ^= 1
    path = dead_segment(ledger.journals, whole, bytes(broken), framed(*whole_request("r3", "a3")))
    content = path.read_bytes()
    dead_segment(ledger.journals, framed(*whole_request("r4", "a4")), number=1)
    await ingestor.recover()
    assert await rows(database, "SELECT id FROM requests ORDER BY id") == [("r1",), ("r4",)]
    assert path.with_suffix(".damaged").read_bytes() == content
    assert segments.listed(ledger.journals) == []
    assert f"damaged from byte {len(whole)}" in caplog.text


async def test_entries_of_a_newer_program_are_left_out_and_their_file_kept(
    database: Database,
    ledger: LedgerSettings,
    ingestor: Ingestor,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """T43: what was read is checked against what an entry may be."""
    path = dead_segment(
        ledger.journals, frame(encode([["xx", "what is this"]])), framed(*whole_request())
    )
    await ingestor.recover()
    assert await rows(database, "SELECT id FROM requests") == [("r1",)]
    assert path.with_suffix(".damaged").exists()
    assert "not understood" in caplog.text


@pytest.mark.parametrize("entry", ["rx", "rv"])
async def test_what_is_new_inside_an_entry_is_left_out_and_its_file_kept(
    database: Database,
    ledger: LedgerSettings,
    ingestor: Ingestor,
    caplog: pytest.LogCaptureFixture,
    entry: str,
) -> None:
    """Such parts are looked at later than the rest, or not at all."""
    ledger.journals.mkdir(exist_ok=True)
    other = request_served("r2")
    fields = [getattr(other, name) for name in other.__struct_fields__[2:]]
    new = ["rx", "r2", ["new"]] if entry == "rx" else ["rv", "r2", ["new"], *fields]
    path = dead_segment(
        ledger.journals,
        framed(request_sent("r1")),
        framed(request_sent("r2")) if entry == "rv" else b"",
        frame(encode([new])),
        framed(request_served("r1")),
    )
    await ingestor.recover()
    assert await rows(database, "SELECT id FROM requests WHERE outcome = 'completed'") == [("r1",)]
    lost = await rows(database, "SELECT id FROM requests WHERE outcome = 'lost'")
    assert lost == ([("r2",)] if entry == "rv" else [])
    assert "not understood" in caplog.text
    assert not path.exists()
    assert path.with_suffix(".damaged").exists()


async def test_a_process_that_dies_between_call_and_answer_leaves_it_lost(
    database: Database, ledger: LedgerSettings, ingestor: Ingestor
) -> None:
    """F69: what was sent has a row, and another's answer beside it changes nothing."""
    ledger.journals.mkdir(exist_ok=True)
    dead_segment(
        ledger.journals,
        framed(request_sent("r1")),
        framed(request_sent("r2")),
        framed(request_served("r2")),
    )
    await ingestor.recover()
    assert await rows(database, "SELECT id, outcome, category FROM requests ORDER BY id") == [
        ("r1", "lost", "code"),
        ("r2", "completed", "code"),
    ]
    assert await rows(database, "SELECT id, outcome, model FROM attempts ORDER BY id") == [
        ("r1.1", "lost", "z-ai/glm-5"),
        ("r2.1", "completed", "z-ai/glm-5"),
    ]


async def test_served_requests_that_stand_there_twice_are_rows_once(
    database: Database, ledger: LedgerSettings, ingestor: Ingestor
) -> None:
    """As when a journal was copied: they are found one by one and merged."""
    ledger.journals.mkdir(exist_ok=True)
    frames = [framed(e(f"r{n}")) for n in range(5) for e in (request_sent, request_served)]
    dead_segment(ledger.journals, *frames, process="0-1-dead")
    dead_segment(ledger.journals, *frames, framed(request_sent("r9")), process="0-2-dead")
    await ingestor.recover()
    assert await rows(database, "SELECT count(*), sum(cost_nanousd) FROM requests") == [
        (6, 5 * 1500)
    ]
    assert await rows(database, "SELECT sum(requests) FROM request_counters") == [(6,)]


async def test_one_row_that_no_table_takes_costs_only_itself(
    database: Database,
    ledger: LedgerSettings,
    ingestor: Ingestor,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad = AttemptStarted("bad", "r2", 2**63, "chat", "m", 1.0)
    path = dead_segment(
        ledger.journals,
        framed(*whole_request("r1", "a1")),
        framed(bad),
        framed(*whole_request("r3", "a3")),
    )
    await ingestor.recover()
    assert await rows(database, "SELECT id FROM attempts ORDER BY id") == [("a1",), ("a3",)]
    assert path.with_suffix(".damaged").exists()
    assert "left out of the ledger" in caplog.text


async def test_a_row_that_breaks_a_rule_of_the_schema_is_refused_for_good(
    database: Database, ledger: LedgerSettings
) -> None:
    dead_segment(ledger.journals, framed(AttemptStarted("bad", "r", 1, "chat", "m", 1.0)))
    batch: Batch = (await tail.Tail(ledger.journals).take(0)).batch
    batch.attempts["bad"].kind = "embedding"  # type: ignore[assignment]  # that is the point
    with pytest.raises(RowRefused, match="CHECK"):
        await SqliteLedger(database).apply(batch)


@settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(order=st.lists(st.integers(0, 4), max_size=12), twice=st.booleans())
def test_entries_that_stand_there_twice_are_rows_once(
    order: list[int], twice: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """F89: in one file, or in a copy of it that somebody has put beside it."""
    content = [framed(*whole_request(f"r{n}", f"a{n}")) for n in order]
    path = tmp_path_factory.mktemp("twice") / "router.db"

    async def recover() -> list[tuple[Any, ...]]:
        async with open_database(path) as database:
            folder = LedgerSettings(path=path).journals
            dead_segment(folder, *content, process="0-1-dead")
            if twice:
                dead_segment(folder, *content, process="0-2-dead")
            await Ingestor(SqliteLedger(database), folder, MovableClock()).recover()
            assert segments.listed(folder) == []
            return await rows(
                database,
                "SELECT count(*), count(outcome), (SELECT count(*) FROM attempts), "
                "(SELECT coalesce(sum(requests), 0) FROM request_counters), "
                "(SELECT coalesce(sum(attempts), 0) FROM attempt_counters) FROM requests",
            )

    assert asyncio.run(recover()) == [(len(set(order)),) * 5]


@settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_whatever_bytes_a_dead_journal_ends_in_the_start_goes_on(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """F89, F91: cut, bit-flipped or overwritten, the intact beginning is read exactly."""
    content = bytearray(b"".join(framed(*whole_request(f"r{n}", f"a{n}")) for n in range(3)))
    cut = data.draw(st.integers(0, len(content)))
    del content[cut:]
    for _ in range(data.draw(st.integers(0, 2))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    intact = len(split(bytes(content)).payloads)
    path = tmp_path_factory.mktemp("damage") / "router.db"

    async def recover() -> list[tuple[Any, ...]]:
        async with open_database(path) as database:
            folder = LedgerSettings(path=path).journals
            dead_segment(folder, bytes(content))
            await Ingestor(SqliteLedger(database), folder, MovableClock()).recover()
            assert segments.listed(folder) == []
            return await rows(database, "SELECT count(*) FROM requests")

    assert asyncio.run(recover()) == [(intact,)]


async def test_sigkill_of_the_ingesting_process_neither_loses_nor_doubles(
    ledger: LedgerSettings,
) -> None:
    """F69: killed again and again at whatever point it happens to be."""
    async with open_database(ledger.path):
        for number in range(4):
            dead_segment(
                ledger.journals,
                *(framed(breaker_changed(f"m{number}-{n}")) for n in range(400)),
                *(framed(*whole_request(f"r{number}-{n}", f"a{number}-{n}")) for n in range(50)),
                process=f"0-{number}-dead",
            )
    for milliseconds in (1, 5, 10, 20):
        kill_ingesting(ledger.path, milliseconds)
    async with open_database(ledger.path) as database:
        await Ingestor(SqliteLedger(database), ledger.journals, MovableClock()).recover()
        assert await rows(database, "SELECT count(*) FROM breaker_transitions") == [(1600,)]
        assert await rows(database, "SELECT count(*), count(outcome) FROM requests") == [(200, 200)]
        assert await rows(database, "PRAGMA integrity_check") == [("ok",)]
    assert segments.listed(ledger.journals) == []


def kill_ingesting(path: Path, milliseconds: int) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", INGEST_SLOWLY, str(path), str(milliseconds)],
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
    )
    with child:
        pass
    assert child.returncode == -signal.SIGKILL


# Small batches, so that the signal falls between or inside transactions.
INGEST_SLOWLY = dedent("""
    import asyncio, os, signal, sys, threading, time
    from pathlib import Path
    from llm_router.clock import SystemClock
    from llm_router.ledger import tail
    from llm_router.ledger.ingest import Ingestor
    from llm_router.settings import LedgerSettings
    from llm_router.storage.ledger import SqliteLedger
    from llm_router.storage.sqlite import open_database

    tail.BATCH_BYTES = 2000

    def kill():
        time.sleep(int(sys.argv[2]) / 1000)
        os.kill(os.getpid(), signal.SIGKILL)

    async def main():
        ledger = LedgerSettings(path=Path(sys.argv[1]))
        async with open_database(ledger.path) as database:
            threading.Thread(target=kill).start()
            await Ingestor(SqliteLedger(database), ledger.journals, SystemClock()).recover()
            time.sleep(60)

    asyncio.run(main())
""")
