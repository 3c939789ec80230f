"""Several processes on one table: what one concludes the others follow, and one has the probe."""

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from llm_router.ledger.entry import BreakerChanged
from llm_router.routing.failures import Failure, FailureClass
from llm_router.routing.gates import ACCOUNT, ALL
from llm_router.routing.merge import Claimed
from llm_router.routing.permits import Permit, ProbeDue, Refusal
from llm_router.routing.probes import SharedBreakers
from llm_router.settings import BreakerSettings
from llm_router.storage import breakers as rows
from llm_router.storage.migrate import migrate
from tests.fakes.clock import Clock

MODEL = "a/one"
LEASE_S = 70.0


class Table:
    """The rows, which take changes at once; unless `is_away`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database
        self.is_away = False
        self.is_locked = False  # then claims are granted unwritten
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.claims = 0

    def tell(self, change: BreakerChanged) -> None:
        rows.write_changes(self.database, [change])

    async def claim(
        self, moves: Sequence[BreakerChanged], since: Mapping[str, int]
    ) -> Claimed | None:
        self.claims += 1
        if self.is_locked:
            return Claimed(is_granted=True, is_unwritten=True)
        claimed = None if self.is_away else rows.claim(self.database, moves, since)
        await self.may_answer.wait()
        return claimed

    def moves(self) -> list[tuple[str, str]]:
        found = self.database.execute("SELECT from_state, to_state FROM breaker_transitions")
        return [tuple(row) for row in found]

    def state(self, subject: str = MODEL) -> str:
        [[state]] = self.database.execute(
            "SELECT state FROM breakers WHERE subject = ?", (subject,)
        )
        return str(state)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    with closing(sqlite3.connect(tmp_path / "router.db", isolation_level=None)) as database:
        migrate(database, 0)
        database.row_factory = sqlite3.Row
        yield Table(database)


class Process:
    """One of several, with its own failure counts and its own view of the rows."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self.table = table
        self.breakers = SharedBreakers(
            BreakerSettings(failures=3, open_s=300),
            clock,
            table.tell,
            lease_s=LEASE_S,
            boot_id="boot",
            claims=table,
        )

    def read(self) -> None:
        found = self.table.database.execute("SELECT * FROM breakers")
        self.breakers.follow([rows._stored(row) for row in found])

    async def admit(self) -> Permit | Refusal:
        admitted = self.breakers.admit(MODEL, "r")
        return await admitted.claimed() if isinstance(admitted, ProbeDue) else admitted

    async def enter(self) -> Permit:
        admitted = await self.admit()
        assert isinstance(admitted, Permit)
        return admitted

    async def fail(self, times: int = 3, kind: FailureClass = FailureClass.UPSTREAM_5XX) -> None:
        for _ in range(times):
            self.breakers.failed(await self.enter(), Failure(kind, "x"))


async def answered() -> None:
    """Let what has been decided about claims arrive."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def first(table: Table, clock: Clock) -> Process:
    return Process(table, clock)


@pytest.fixture
def second(table: Table, clock: Clock) -> Process:
    return Process(table, clock)


async def test_each_counts_on_its_own_and_what_opens_for_one_opens_for_all(
    first: Process, second: Process
) -> None:
    await first.fail(2)
    await second.fail(2)
    second.read()
    assert isinstance(await second.admit(), Permit)
    await first.fail(1)
    second.read()
    refused = await second.admit()
    assert isinstance(refused, Refusal)
    assert refused.retry_after_s == 300


async def test_two_that_trip_at_once_make_one_transition(
    first: Process, second: Process, table: Table
) -> None:
    """F82"""
    await first.fail()
    await second.fail()
    assert table.moves() == [("closed", "open")]


async def test_one_of_many_has_the_probe(table: Table, clock: Clock) -> None:
    """F82, F83: also among those who have not read the rows since."""
    processes = [Process(table, clock) for _ in range(8)]
    await processes[0].fail()
    for process in processes:
        process.read()
    clock.now += 301
    found = await asyncio.gather(*(p.admit() for p in processes for _ in range(20)))
    [permit] = [each for each in found if isinstance(each, Permit)]
    assert permit.is_probe
    assert table.moves() == [("closed", "open"), ("open", "half_open")]


async def opened_long_ago(first: Process, second: Process, clock: Clock) -> None:
    """Open the breaker in both processes, so long ago that a probe is due."""
    await first.fail()
    second.read()
    clock.now += 301


async def test_the_others_follow_what_the_probe_found(
    first: Process, second: Process, table: Table, clock: Clock
) -> None:
    await opened_long_ago(first, second, clock)
    first.breakers.succeeded(await first.enter())
    assert isinstance(await second.admit(), Refusal), "its claim is from before"
    assert isinstance(await second.admit(), Permit), "and the refusal told it"
    assert table.state() == "closed"


async def test_a_probe_that_failed_keeps_everybody_out_for_another_wait(
    first: Process, second: Process, clock: Clock
) -> None:
    await opened_long_ago(first, second, clock)
    await first.fail(1)
    refused = await second.admit()
    assert isinstance(refused, Refusal)
    assert refused.retry_after_s == 300


async def test_a_probe_of_which_no_row_could_be_written_tells_of_itself(
    first: Process, second: Process, table: Table, clock: Clock
) -> None:
    """F86"""
    await opened_long_ago(first, second, clock)
    table.is_locked = True
    await first.fail(1)
    assert table.moves() == [("closed", "open"), ("open", "half_open"), ("half_open", "open")]
    second.read()
    assert isinstance(await second.admit(), Refusal)
    clock.now += 301
    first.breakers.succeeded(await first.enter())
    assert table.moves()[3:] == [("open", "half_open"), ("half_open", "closed")]


async def test_a_process_that_sleeps_over_its_lease_has_nothing_more_to_say(
    first: Process, second: Process, table: Table, clock: Clock
) -> None:
    """F72"""
    await opened_long_ago(first, second, clock)
    asleep = await first.enter()
    second.read()
    assert isinstance(await second.admit(), Refusal)
    clock.now += LEASE_S + 1
    awake = await second.enter()
    assert awake.is_probe
    first.breakers.succeeded(asleep)
    assert table.state() == "half_open"
    second.breakers.succeeded(awake)
    assert table.state() == "closed"


async def test_without_anybody_to_ask_nobody_probes_and_the_breaker_stays_open(
    first: Process, table: Table, clock: Clock
) -> None:
    await first.fail()
    clock.now += 301
    table.is_away = True
    refused = await first.admit()
    assert isinstance(refused, Refusal)
    assert first.breakers.views()[-1].state == "open"
    table.is_away = False
    assert (await first.enter()).is_probe


async def test_a_request_that_goes_away_while_it_claims_gives_the_probe_back(
    first: Process, second: Process, table: Table, clock: Clock
) -> None:
    await first.fail()
    clock.now += 301
    table.may_answer.clear()
    claiming = asyncio.ensure_future(first.admit())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert table.claims == 1
    claiming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claiming
    table.may_answer.set()
    await answered()
    second.read()
    assert (await second.enter()).is_probe


async def claims_in_vain(process: Process, table: Table, patch: pytest.MonkeyPatch) -> None:
    """Have a claim decided only when its request waits no more."""
    table.may_answer.clear()
    patch.setattr("llm_router.routing.probes.CLAIM_S", 0.01)
    assert isinstance(await process.admit(), Refusal)
    assert table.state() == "half_open"
    table.may_answer.set()
    await answered()


async def test_a_claim_that_is_decided_too_late_takes_nobody_elses_probe(
    first: Process,
    second: Process,
    table: Table,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """F82: whoever had waited for too long gave back a probe that another process had by then."""
    await opened_long_ago(first, second, clock)
    probe = await first.enter()
    await claims_in_vain(second, table, monkeypatch)
    assert table.claims == 2
    assert table.state() == "half_open"
    assert isinstance(await second.admit(), Refusal)
    first.breakers.succeeded(probe)
    assert table.state() == "closed"


async def test_a_claim_that_cannot_be_asked_for_takes_nobody_elses_probe(
    first: Process, second: Process, table: Table, clock: Clock
) -> None:
    """F82: it was given back all the same, and the next request probed beside the first."""
    await opened_long_ago(first, second, clock)
    probe = await first.enter()
    table.is_away = True
    assert isinstance(await second.admit(), Refusal)
    assert table.state() == "half_open"
    table.is_away = False
    assert isinstance(await second.admit(), Refusal)
    first.breakers.succeeded(probe)
    assert table.state() == "closed"
    second.read()
    assert not (await second.enter()).is_probe


async def test_a_claim_that_is_granted_too_late_is_given_back(
    first: Process,
    second: Process,
    table: Table,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await opened_long_ago(first, second, clock)
    await claims_in_vain(first, table, monkeypatch)
    assert table.state() == "open"
    second.read()
    assert (await second.enter()).is_probe


async def test_a_claim_that_was_refused_leaves_the_others_wait_alone(
    first: Process, second: Process, table: Table, clock: Clock
) -> None:
    await opened_long_ago(first, second, clock)
    await first.fail(1)
    table.may_answer.clear()
    claiming = asyncio.ensure_future(second.admit())
    await asyncio.sleep(0)
    claiming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claiming
    table.may_answer.set()
    first.read()
    refused = await first.admit()
    assert isinstance(refused, Refusal)
    assert refused.retry_after_s == 300


async def test_a_reset_in_one_lets_in_everywhere(
    first: Process, second: Process, table: Table
) -> None:
    await first.fail()
    await first.fail(0)
    second.read()
    second.breakers.reset(ALL)
    first.read()
    assert isinstance(await first.admit(), Permit)
    assert table.state() == "closed"


@pytest.mark.parametrize("subject", [MODEL, ALL])
async def test_a_reset_in_one_forgets_what_the_others_have_counted(
    first: Process, second: Process, table: Table, subject: str
) -> None:
    slow = await first.enter()
    await first.fail(2)
    second.read()
    second.breakers.reset(subject)
    first.read()
    first.breakers.failed(slow, Failure(FailureClass.UPSTREAM_5XX, "x"))
    await first.fail(2)
    assert isinstance(await first.admit(), Permit)
    assert table.moves() == []
    await first.fail(1)
    assert table.moves() == [("closed", "open")]


async def test_a_reset_is_obeyed_once(first: Process, second: Process) -> None:
    await first.fail(1)
    await second.fail(1)
    second.read()
    second.breakers.reset(MODEL)
    for _ in range(2):
        first.read()
        await first.fail(1)
        await second.fail(1)
        second.read()
    first.read()
    await first.fail(1)
    assert isinstance(await first.admit(), Refusal)


async def test_calls_from_before_a_reset_elsewhere_no_longer_count(
    first: Process, second: Process
) -> None:
    slow = [await first.enter() for _ in range(3)]
    await first.fail()
    second.read()
    second.breakers.reset(MODEL)
    first.read()
    for permit in slow:
        first.breakers.failed(permit, Failure(FailureClass.UPSTREAM_5XX, "x"))
    assert isinstance(await first.admit(), Permit)


async def test_the_account_and_rests_are_everybodys(first: Process, second: Process) -> None:
    await first.fail(1, FailureClass.AUTH)
    second.read()
    refused = await second.admit()
    assert isinstance(refused, Refusal)
    assert refused.gate == "account"
    second.breakers.reset(ACCOUNT)
    first.read()
    await first.fail(1, FailureClass.RATE_LIMITED)
    second.read()
    refused = await second.admit()
    assert isinstance(refused, Refusal)
    assert refused.gate == "cooldown"


async def test_models_that_are_well_elsewhere_take_no_room_here(
    first: Process, second: Process
) -> None:
    await first.fail()
    first.breakers.reset(MODEL)
    second.read()
    assert [view.subject for view in second.breakers.views() if not view.is_gate] == []
