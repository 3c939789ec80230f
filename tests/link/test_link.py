"""A worker and the ledger process, over the socket between them."""

import asyncio
import sqlite3
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from llm_router.errors import NotFound, StorageError
from llm_router.ledger.entry import BreakerChanged
from llm_router.ledger.frames import HEADER, frame
from llm_router.link import address
from llm_router.link.client import Link, open_link
from llm_router.link.messages import ChangeConfig, Done, Flush, InForce, pack_answer, pack_question
from llm_router.link.remote import RemoteClaims, RemoteConfig, RemoteRows
from llm_router.link.server import Desk, open_desk
from llm_router.load import Load
from llm_router.routing.config import ConfigHolder, RoutingConfig
from llm_router.routing.defaults import default_config
from llm_router.routing.document import parse, to_dict
from llm_router.routing.gate_state import PROBE_HINT_S
from llm_router.routing.merge import Claimed
from llm_router.storage import breakers as stored
from llm_router.storage.config import ConfigStore
from llm_router.storage.sqlite import Database, open_database
from llm_router.tasks import beside
from tests.fakes.clock import Clock
from tests.fakes.waiting import until
from tests.routing.test_merge import change

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")


@dataclass
class Rows:
    """What would be the ingestor."""

    is_failing: bool = False
    flushes: int = 0
    trouble: Exception | None = None
    may_go: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_go.set()

    async def flush(self) -> None:
        self.flushes += 1
        await self.may_go.wait()
        if self.trouble:
            raise self.trouble

    share = flush


@dataclass
class Bench:
    """The ledger process's end, on a real database."""

    folder: Path
    database: Database
    rows: Rows
    store: ConfigStore
    clock: Clock

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Desk]:
        desk = Desk(self.database, self.rows, self.store, self.clock)
        async with open_desk(desk, self.folder):
            yield desk

    async def write(self, *changes: BreakerChanged) -> None:
        await self.database.transact(partial(stored.write_changes, changes=changes))

    def versions(self) -> int:
        with closing(sqlite3.connect(self.database.path)) as db:
            [[newest]] = db.execute("SELECT max(version) FROM config_versions")
        return int(newest)

    async def state(self) -> str:
        [row] = await stored.load(self.database)
        return row.state


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    # Longer than a socket's name may be.
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    async with open_database(tmp_path / "router.db") as database:
        store = ConfigStore(database, ConfigHolder(default_config()))
        await store.load_or_seed(default_config())
        yield Bench(folder, database, Rows(), store, Clock())


@pytest.fixture
async def desk(bench: Bench) -> AsyncIterator[Desk]:
    async with bench.serving() as desk:
        yield desk


@pytest.fixture
async def link(bench: Bench, desk: Desk) -> AsyncIterator[Link]:
    async with open_link(bench.folder) as link:
        await until(lambda: link.is_up)
        yield link


# The socket


@pytest.mark.usefixtures("desk")
async def test_only_the_owner_can_use_the_socket(bench: Bench) -> None:
    """T43"""
    file = bench.folder / "ledger.sock"
    assert stat.S_ISSOCK(file.stat().st_mode)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_socket_that_a_dead_process_left_is_replaced(bench: Bench) -> None:
    address.listen(bench.folder).close()
    with pytest.raises(ConnectionRefusedError):
        address.call(bench.folder)
    async with bench.serving(), open_link(bench.folder) as link:
        await until(lambda: link.is_up)
    assert not list(bench.folder.iterdir())


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        HEADER.pack(2**31, 0),
        frame(b"\x93\x01"),
        frame(b"not msgpack"),
        frame(b"\x93\x01\x02\x81\xa4type\xa4evil"),
        pack_question(1, 2.0, Flush())[:-1] + b"\x00",
        pack_answer(1, Done()),  # an answer is no question
    ],
    ids=["http", "too long", "cut", "text", "unknown", "damaged", "answer"],
)
async def test_whoever_speaks_otherwise_is_hung_up_on_and_nobody_else(
    bench: Bench, link: Link, said: bytes
) -> None:
    """T43"""
    reader, writer = await asyncio.open_unix_connection(sock=address.call(bench.folder))
    writer.write(said)
    writer.write_eof()
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()
    assert await link.ask(Flush(), Done) == Done()


# Questions


async def test_a_question_that_waits_holds_up_no_other(bench: Bench, link: Link) -> None:
    bench.rows.may_go.clear()
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(link.ask(Flush(), Done))
        await until(lambda: bench.rows.flushes)
        remote = RemoteRows(link, Load)
        async with beside(remote.run(), name="pulse"):
            await until(lambda: not remote.is_failing)
        assert not slow.done()
        bench.rows.may_go.set()


async def test_what_the_database_cannot_do_is_said_as_it_would_be_there(
    bench: Bench, link: Link
) -> None:
    bench.rows.trouble = StorageError("the disk is full")
    with pytest.raises(StorageError, match="the disk is full"):
        await RemoteRows(link, Load).flush()


async def test_without_a_ledger_process_a_question_fails_at_once_and_later_works(
    bench: Bench,
) -> None:
    async with open_link(bench.folder) as link:
        rows = RemoteRows(link, Load)
        with pytest.raises(StorageError, match="is away"):
            await rows.flush()
        assert rows.is_failing
        async with bench.serving():
            await until(lambda: link.is_up)
            await rows.flush()
        await until(lambda: not link.is_up)
        async with bench.serving():
            await until(lambda: link.is_up)
            await rows.flush()


async def test_who_waits_when_the_ledger_process_goes_hears_of_it(bench: Bench) -> None:
    bench.rows.may_go.clear()
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(bench.serving())
        link = await stack.enter_async_context(open_link(bench.folder))
        await until(lambda: link.is_up)
        asked = asyncio.ensure_future(link.ask(Flush(), Done))
        await until(lambda: bench.rows.flushes)
        await desk.close()
        with pytest.raises(StorageError, match="went away"):
            await asked
        bench.rows.may_go.set()


async def test_an_answer_that_does_not_come_is_not_waited_for(bench: Bench, link: Link) -> None:
    bench.rows.may_go.clear()
    with pytest.raises(StorageError, match="in time"):
        await link.ask(Flush(), Done, timeout_s=0.01)
    bench.rows.may_go.set()
    assert await link.ask(Flush(), Done) == Done()


async def test_a_change_that_came_too_late_is_not_made(bench: Bench, link: Link) -> None:
    """F72: a ledger process that had hung used to make what had been refused meanwhile."""
    late = ChangeConfig("admin", "category x", to_dict(with_category("x", default_config())), 1)
    with pytest.raises(StorageError, match="in time"):
        await link.ask(late, InForce, timeout_s=-1)
    remote = RemoteConfig(link, bench.database, ConfigHolder(RoutingConfig(0)))
    config = await remote.change("admin", "category y", partial(with_category, "y"))
    assert (config.version, "x" in config.categories) == (2, False)


async def test_workers_hear_what_the_others_have_in_hand(bench: Bench, link: Link) -> None:
    async with open_link(bench.folder) as second:
        await until(lambda: second.is_up)
        others = [RemoteRows(link, lambda: Load(3, 100, 1)), RemoteRows(second, lambda: Load(4))]
        bench.rows.is_failing = True
        async with beside(others[0].run(), name="one"), beside(others[1].run(), name="two"):
            await until(lambda: others[0].others.in_flight and others[1].others.in_flight)
        assert [each.others for each in others] == [Load(4), Load(3, 100, 1)]
        assert others[0].is_failing


async def test_a_change_is_made_when_the_other_workers_act_on_it(bench: Bench, link: Link) -> None:
    """F80: whichever worker the next request meets, it is served by the new version."""
    async with open_link(bench.folder) as second:
        await until(lambda: second.is_up)
        one, other = RemoteRows(link, Load), RemoteRows(second, Load)
        remote = RemoteConfig(link, bench.database, ConfigHolder(RoutingConfig(0)))
        async with beside(one.run(), name="one"), beside(other.run(), name="other"):
            edit = partial(with_category, "x")
            change = asyncio.ensure_future(remote.change("admin", "category x", edit))
            await until(lambda: bench.versions() == 2)
            one.seen({"config": 2, "breakers": None})
            other.seen({"config": 1, "breakers": None})
            done, _ = await asyncio.wait((change,), timeout=0.05)
            assert not done
            other.seen({"config": 2, "breakers": None})
            assert (await change).version == 2


async def test_what_all_shall_act_on_is_waited_for_and_not_for_ever(
    bench: Bench, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F72: a worker that hangs holds up nobody who resets a breaker at another one."""
    monkeypatch.setattr("llm_router.link.server.SHARED_S", 0.01)
    await bench.write(change("closed", "open", 10))
    await RemoteRows(link, Load).share()
    assert bench.rows.flushes == 1


def test_loads_add_up() -> None:
    assert sum([Load(1, 2, 3), Load(10, 20, 30)], Load()) == Load(11, 22, 33)


# The configuration


def with_category(name: str, config: RoutingConfig) -> RoutingConfig:
    document = to_dict(config)
    document["categories"][name] = {"models": ["a/one"], "keywords": [], "description": ""}
    return parse(document)


async def test_a_change_is_durable_before_it_is_in_force_here(bench: Bench, link: Link) -> None:
    holder = ConfigHolder(RoutingConfig(0))
    remote = RemoteConfig(link, bench.database, holder)
    after = await remote.change("admin", "category x", partial(with_category, "x"))
    assert after.version == 2
    assert holder.current == after
    assert (await remote.history())[0].action == "category x"
    back = await remote.rollback(1, "admin")
    assert (back.version, holder.current.version) == (3, 3)
    assert "x" not in back.categories
    with pytest.raises(NotFound, match="no version 99"):
        await remote.rollback(99, "admin")


async def test_a_change_that_somebody_forestalls_is_made_again_on_top(
    bench: Bench, link: Link
) -> None:
    """F81, T36"""
    remote = RemoteConfig(link, bench.database, ConfigHolder(RoutingConfig(0)))
    seen: list[int] = []
    forestalled = asyncio.Event()

    def edit(config: RoutingConfig) -> RoutingConfig:
        seen.append(config.version)
        return with_category("mine", config)

    original = link.ask

    async def ask(*question: Any, **options: Any) -> Any:
        if not forestalled.is_set():
            forestalled.set()
            await bench.store.change("other", "first", partial(with_category, "theirs"))
        return await original(*question, **options)

    link.ask = ask  # type: ignore[method-assign]
    after = await remote.change("admin", "mine", edit)
    assert seen == [1, 2]
    assert after.version == 3
    assert {"mine", "theirs"} <= after.categories.keys()


async def test_a_change_of_nothing_makes_no_version(bench: Bench, link: Link) -> None:
    remote = RemoteConfig(link, bench.database, ConfigHolder(RoutingConfig(0)))
    assert (await remote.change("admin", "nothing", lambda config: config)).version == 1
    assert len(await remote.history()) == 1


# Probes

OPENED, PROBE = change("closed", "open", 10), change("open", "half_open", 400)


async def test_one_of_two_claims_is_granted_and_the_other_hears_how_things_are(
    bench: Bench, link: Link
) -> None:
    """F82"""
    await bench.write(OPENED)
    claims = RemoteClaims(link)
    first = await claims.claim([PROBE], {"a/one": 10})
    second = await claims.claim([change("open", "half_open", 401)], {"a/one": 10})
    assert first is not None
    assert second is not None
    assert (first.is_granted, second.is_granted) == (True, False)
    assert [(row.state, row.stamp) for row in second.rows] == [("half_open", 400)]
    assert bench.rows.flushes == 2, "what the former probe found may be in a journal"


async def test_a_worker_that_goes_gives_its_probe_back(bench: Bench, desk: Desk) -> None:
    """F69"""
    await bench.write(OPENED)
    async with open_link(bench.folder) as link:
        await until(lambda: link.is_up)
        claimed = await RemoteClaims(link).claim([PROBE], {"a/one": 10})
        assert claimed is not None
        assert claimed.is_granted
    async with asyncio.timeout(10):
        await desk.left_alone()
    [row] = await stored.load(bench.database)
    assert (row.state, row.until_boot_s) == ("open", bench.clock.now)


async def test_a_ledger_process_that_goes_takes_no_probe_away(bench: Bench) -> None:
    await bench.write(OPENED)
    async with bench.serving() as desk, open_link(bench.folder) as link:
        await until(lambda: link.is_up)
        await RemoteClaims(link).claim([PROBE], {"a/one": 10})
        await desk.close()
    assert await bench.state() == "half_open"


async def test_while_no_row_can_be_written_one_may_probe_every_few_seconds(
    bench: Bench, link: Link
) -> None:
    """F86: what the probe finds, the others do not hear of, so each of them has to try."""
    bench.rows.is_failing = True
    claims = RemoteClaims(link)
    granted = Claimed(is_granted=True, is_unwritten=True)
    assert await claims.claim([PROBE], {"a/one": 10}) == granted
    assert await claims.claim([PROBE], {"a/one": 10}) is None
    assert await claims.claim([change("open", "half_open", 7)], {"b/two": 10}) == granted
    bench.clock.pass_s(PROBE_HINT_S)
    assert await claims.claim([PROBE], {"a/one": 10}) == granted
    assert await stored.load(bench.database) == []


async def test_a_claim_that_cannot_be_asked_is_none(bench: Bench, link: Link) -> None:
    bench.rows.trouble = StorageError("locked")
    assert await RemoteClaims(link).claim([PROBE], {"a/one": 10}) is None


async def test_a_probe_that_cannot_be_given_back_keeps_its_lease(
    bench: Bench, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.write(OPENED)
    async with open_link(bench.folder) as link:
        await until(lambda: link.is_up)
        await RemoteClaims(link).claim([PROBE], {"a/one": 10})
        bench.rows.trouble = StorageError("locked")
    async with asyncio.timeout(10):
        await desk.left_alone()
    assert await bench.state() == "half_open"
    assert "keep their leases" in caplog.text
