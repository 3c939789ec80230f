import asyncio
import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import msgspec
import pytest

from llm_router.errors import StorageError
from llm_router.ledger import journal as journal_module
from llm_router.ledger import segments
from llm_router.ledger.entry import AttemptStarted, Entry
from llm_router.ledger.frames import split
from llm_router.ledger.journal import Journal, open_journal
from llm_router.settings import LedgerSettings
from tests.ledger.entries import attempt_started, request_started, whole_request

REPOSITORY = Path(__file__).parents[2]

decode = msgspec.msgpack.Decoder(list[Entry]).decode


@pytest.fixture
def ledger(tmp_path: Path) -> LedgerSettings:
    return LedgerSettings(path=tmp_path / "router.db")


def entries_in(folder: Path) -> list[Entry]:
    """Everything that can be read, in order; fails on a torn or damaged segment."""
    found: list[Entry] = []
    for segment in segments.listed(folder):
        frames = split((folder / segment.name).read_bytes())
        assert frames.end == "clean"
        for payload in frames.payloads:
            found += decode(payload)
    return found


@contextmanager
def file_size_limited(limit: int) -> Iterator[None]:
    """A disk that is full after so many bytes: the next write is short, later ones fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_entries_are_in_the_file_before_append_returns(ledger: LedgerSettings) -> None:
    async with open_journal(ledger) as journal:
        journal.append(*whole_request())
        journal.append(request_started("r2"))
        assert entries_in(ledger.journals) == [*whole_request(), request_started("r2")]
        assert not journal.is_failing


async def test_files_and_folder_are_private(ledger: LedgerSettings) -> None:
    """T38: the journal says who asked what, and when."""
    async with open_journal(ledger):
        (file,) = ledger.journals.iterdir()
        assert file.stat().st_mode & 0o777 == 0o600
        assert ledger.journals.stat().st_mode & 0o777 == 0o700


async def test_a_full_segment_is_followed_by_the_next(ledger: LedgerSettings) -> None:
    ledger.journals.mkdir()
    journal = Journal(ledger.journals, sync_s=1, segment_bytes=200)
    for number in range(10):
        journal.append(request_started(f"r{number}"))
    files = segments.listed(ledger.journals)
    assert len(files) > 2
    assert {segment.process for segment in files} == {journal.process}
    assert [e.id for e in entries_in(ledger.journals)] == [f"r{n}" for n in range(10)]  # type: ignore[union-attr]  # all are requests
    with segments.held(ledger.journals, files[-1:]) as fds:
        assert fds == {}, "the newest segment is locked"
    await journal.sync()
    with segments.held(ledger.journals, files) as fds:
        assert list(fds) == files[:-1], "former segments are let go of once they are on the disk"
    journal.close()
    with segments.held(ledger.journals, files) as fds:
        assert list(fds) == files, "a closed journal holds no lock"


async def test_a_journal_that_cannot_rotate_goes_on_in_its_segment(
    ledger: LedgerSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """F75: no descriptor is left for a new file."""
    ledger.journals.mkdir()
    journal = Journal(ledger.journals, sync_s=1, segment_bytes=200)

    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(segments, "create", refuse)
    for number in range(10):
        journal.append(request_started(f"r{number}"))
    assert len(entries_in(ledger.journals)) == 10
    assert "goes on" in caplog.text
    monkeypatch.undo()
    for _ in range(10):
        journal.append(request_started("later"))
    assert len(segments.listed(ledger.journals)) > 1
    journal.close()


async def test_a_short_write_hides_nothing_that_comes_later(
    ledger: LedgerSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """F84, F85: the disk takes half a frame, then nothing, then everything again."""
    async with open_journal(ledger) as journal:
        journal.append(request_started("r0"))
        (file,) = ledger.journals.iterdir()
        size = file.stat().st_size
        with file_size_limited(size + 20):
            for number in range(1, 6):
                journal.append(request_started(f"r{number}"))
            assert file.stat().st_size <= size + 20
            assert journal.is_failing
            assert journal.backlog_bytes == 5 * size
        journal.append(request_started("r6"))
        assert entries_in(ledger.journals) == [request_started(f"r{n}") for n in range(7)]
        assert not journal.is_failing
        assert journal.backlog_bytes == 0
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]


async def test_the_disk_is_tried_again_without_another_append(ledger: LedgerSettings) -> None:
    """F84: the last entry before a quiet night is not left in memory."""
    async with open_journal(ledger) as journal:
        with file_size_limited(0):
            journal.append(*whole_request())
            await journal.sync()
            assert journal.is_failing
        await journal.sync()
        assert not journal.is_failing
        assert entries_in(ledger.journals) == whole_request()


async def test_closing_writes_what_waited(ledger: LedgerSettings) -> None:
    async with open_journal(ledger) as journal:
        with file_size_limited(0):
            journal.append(*whole_request())
    assert entries_in(ledger.journals) == whole_request()


async def test_closing_says_what_is_lost(
    ledger: LedgerSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with file_size_limited(0):
        async with open_journal(ledger) as journal:
            journal.append(*whole_request())
    assert "are lost" in caplog.text


async def test_a_torn_frame_that_cannot_be_cut_off_is_not_written_after(
    ledger: LedgerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F85: ftruncate fails too."""
    async with open_journal(ledger) as journal:
        journal.append(request_started("r0"))
        (file,) = ledger.journals.iterdir()
        with file_size_limited(file.stat().st_size + 20):
            journal.append(request_started("r1"))

        def refuse(*_: object) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(os, "ftruncate", refuse)
            journal.append(request_started("r2"))
        assert split(file.read_bytes()).end == "torn"
        journal.append(request_started("r3"))
        assert entries_in(ledger.journals) == [request_started(f"r{n}") for n in range(4)]


async def test_a_backlog_has_a_cap_and_says_what_it_dropped(
    ledger: LedgerSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """T23: memory is bounded however long the disk is full."""
    monkeypatch.setattr(journal_module, "MAX_BACKLOG_BYTES", 200)
    async with open_journal(ledger) as journal:
        with file_size_limited(0):
            for number in range(20):
                journal.append(request_started(f"r{number}"))
        assert 0 < journal.backlog_bytes <= 200
        kept = 20 - journal.dropped
        assert kept > 0
        await journal.sync()
        assert len(entries_in(ledger.journals)) == kept
    assert "backlog is full" in caplog.text
    assert f"{20 - kept} frames lost" in caplog.text


async def test_a_database_that_takes_no_rows_does_not_fill_the_disk(
    ledger: LedgerSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """F86: so many segments may wait, then memory, and once they are taken all goes on."""
    monkeypatch.setattr(journal_module, "MAX_SEGMENTS", 3)
    ledger.journals.mkdir()
    journal = Journal(ledger.journals, sync_s=1, segment_bytes=100)
    for number in range(30):
        journal.append(request_started(f"r{number}"))
    assert len(segments.listed(ledger.journals)) == 4
    assert journal.is_failing
    assert "3 segments wait for the database" in caplog.text
    await journal.sync()
    assert journal.is_failing
    taken = entries_in(ledger.journals)
    for segment in segments.listed(ledger.journals)[:-1]:
        (ledger.journals / segment.name).unlink()
    for _ in range(30):  # as often as there is room for no more than three
        await journal.sync()
        taken += entries_in(ledger.journals)
        for segment in segments.listed(ledger.journals)[:-1]:
            (ledger.journals / segment.name).unlink()
    assert not journal.is_failing
    assert {entry.id for entry in taken} == {f"r{number}" for number in range(30)}
    journal.close()


async def test_a_long_backlog_is_written_bit_by_bit_and_in_order(
    ledger: LedgerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_FRAMES_PER_APPEND", 2)
    async with open_journal(ledger) as journal:
        with file_size_limited(0):
            for number in range(4):
                journal.append(request_started(f"r{number}"))
        journal.append(request_started("r4"))
        assert len(entries_in(ledger.journals)) == 2
        assert journal.is_failing
        journal.append(request_started("r5"))
        journal.append(request_started("r6"))
        journal.append(request_started("r7"))
        assert entries_in(ledger.journals) == [request_started(f"r{n}") for n in range(8)]


@pytest.mark.parametrize(
    "entry",
    [
        AttemptStarted("a", "r", 2**70, "chat", "m", 1.0),
        AttemptStarted("a", "r", 1, "chat", "\ud800", 1.0),
        AttemptStarted("a", "r", 1, "chat", "m" * 2_000_000, 1.0),
    ],
    ids=["a number too wide", "a lone surrogate", "two megabytes"],
)
async def test_an_entry_that_cannot_be_written_fails_no_request(
    ledger: LedgerSettings, entry: Entry, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_journal(ledger) as journal:
        journal.append(entry)
        journal.append(attempt_started())
        assert entries_in(ledger.journals) == [attempt_started()]
    assert "missing from the ledger" in caplog.text


class Disk:
    """Counts what the disk was asked to keep, and may refuse."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced: list[int] = []
        self.is_broken = False
        monkeypatch.setattr(journal_module, "_fdatasync", self._sync)

    def _sync(self, fd: int) -> None:
        if self.is_broken:
            raise OSError(5, "Input/output error")
        self.synced.append(fd)


async def test_the_disk_is_asked_only_for_what_is_new(
    ledger: LedgerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    async with open_journal(ledger) as journal:
        journal.append(request_started())
        await journal.sync()
        assert len(disk.synced) == 1
        await journal.sync()
        assert len(disk.synced) == 1


async def test_with_sync_s_0_an_append_is_on_the_disk_when_it_returns(
    ledger: LedgerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F91: a power cut then takes nothing that was journaled."""
    disk = Disk(monkeypatch)
    ledger.journals.mkdir()
    journal = Journal(ledger.journals, sync_s=0, segment_bytes=100)
    for number in range(1, 6):
        journal.append(request_started(f"r{number}"))
        assert len(disk.synced) >= number
    await journal.sync()
    assert len(segments.listed(ledger.journals)) > 1
    assert not journal.is_failing
    journal.close()


@pytest.mark.parametrize("sync_s", [0, 1])
async def test_a_disk_that_confirms_nothing_shows_and_is_asked_again(
    ledger: LedgerSettings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    sync_s: float,
) -> None:
    """F85: EIO from fsync."""
    disk = Disk(monkeypatch)
    disk.is_broken = True
    async with open_journal(ledger.model_copy(update={"sync_s": sync_s})) as journal:
        journal.append(request_started("r1"))
        await journal.sync()
        await journal.sync()
        assert journal.is_failing
        assert caplog.text.count("does not confirm") == 1
        disk.is_broken = False
        await journal.sync()
        assert not journal.is_failing
        journal.append(request_started("r2"))
        assert not journal.is_failing
    assert len(entries_in(ledger.journals)) == 2


async def test_a_journal_syncs_by_itself(
    ledger: LedgerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, synced = asyncio.get_running_loop(), asyncio.Event()
    monkeypatch.setattr(
        journal_module, "_fdatasync", lambda fd: loop.call_soon_threadsafe(synced.set)
    )
    async with open_journal(ledger.model_copy(update={"sync_s": 0.001})) as journal:
        journal.append(request_started())
        async with asyncio.timeout(5):
            await synced.wait()


async def test_a_folder_that_cannot_be_made_stops_the_start(ledger: LedgerSettings) -> None:
    """F88."""
    ledger.journals.write_text("a file stands in the way")
    with pytest.raises(StorageError, match="cannot be used"):
        async with open_journal(ledger):
            raise AssertionError


def test_sigkill_loses_nothing_that_was_appended(ledger: LedgerSettings) -> None:
    """F69, F74: the child says which entries it appended; each of them is in the journal."""
    child = subprocess.Popen(
        [sys.executable, "-c", APPEND_FOR_EVER, str(ledger.path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    assert child.stdout is not None
    with child.stdout as told:
        said = [next(told) for _ in range(200)]
        child.send_signal(signal.SIGKILL)
        said += told
    child.wait()
    last = int([line for line in said if line.endswith("\n")][-1])
    ids = [entry.id for entry in entries_in(ledger.journals)]  # type: ignore[union-attr]  # all are requests
    assert ids == [f"r{number}" for number in range(len(ids))]
    assert len(ids) > last


APPEND_FOR_EVER = dedent("""
    import asyncio, itertools, os, sys
    from pathlib import Path
    from llm_router.ledger.journal import open_journal
    from llm_router.settings import LedgerSettings
    from tests.ledger.entries import request_started

    async def main():
        async with open_journal(LedgerSettings(path=Path(sys.argv[1]))) as journal:
            for number in itertools.count():
                journal.append(request_started(f"r{number}"))
                os.write(1, f"{number}\\n".encode())

    asyncio.run(main())
""")
