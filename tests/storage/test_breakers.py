from functools import partial

import msgspec
import pytest

from llm_router.ledger.entry import BreakerChanged
from llm_router.routing.breaker import Breakers
from llm_router.routing.failures import Failure, FailureClass
from llm_router.routing.permits import Permit, Refusal
from llm_router.routing.snapshot import StoredBreaker
from llm_router.settings import BreakerSettings
from llm_router.storage.breakers import Transition, load, transitions, write_changes
from llm_router.storage.sqlite import Database

NOON = 1_769_860_800.0
MODEL = "z-ai/glm-5"

OPENED = BreakerChanged(
    subject=MODEL,
    at=NOON,
    from_state="closed",
    to_state="open",
    reason="3 failures in a row",
    request_id="req-1",
    until=NOON + 300,
    until_boot_s=5300.5,
    cooldown_until=None,
    cooldown_boot_s=None,
    boot_id="boot-1",
    failures=3,
    wait_s=300.0,
)


def then(before: BreakerChanged, state: str, seconds: float, **facts: object) -> BreakerChanged:
    changed = {"from_state": before.to_state, "to_state": state, "at": before.at + seconds}
    return msgspec.structs.replace(before, **{**changed, **facts})


async def store(database: Database, *changes: BreakerChanged) -> None:
    await database.transact(partial(write_changes, changes=changes))


async def test_a_change_comes_back_as_it_was(database: Database) -> None:
    await store(database, OPENED)
    assert await load(database) == [
        StoredBreaker(
            subject=MODEL,
            state="open",
            since=NOON,
            until=NOON + 300,
            until_boot_s=5300.5,
            cooldown_until=None,
            cooldown_boot_s=None,
            boot_id="boot-1",
            reason="3 failures in a row",
            failures=3,
            wait_s=300.0,
        )
    ]


async def test_each_move_is_a_row_and_the_newest_comes_first(database: Database) -> None:
    probing = then(OPENED, "half_open", 300, request_id="req-2", reason="probe")
    closed = then(probing, "closed", 1, until=None, until_boot_s=None, reason="it worked")
    await store(database, OPENED, probing, closed)
    found = await transitions(database)
    assert [(t.from_state, t.to_state, t.request_id) for t in found] == [
        ("half_open", "closed", "req-2"),
        ("open", "half_open", "req-2"),
        ("closed", "open", "req-1"),
    ]
    assert found[2] == Transition(
        "2026-01-31T12:00:00.000Z", MODEL, "closed", "open", "3 failures in a row", "req-1"
    )
    (row,) = await load(database)
    assert (row.state, row.since, row.until) == ("closed", NOON + 301, None)


async def test_a_cool_down_is_no_transition(database: Database) -> None:
    cooling = then(OPENED, "open", 5, cooldown_until=NOON + 30, cooldown_boot_s=5030.0)
    await store(database, OPENED)
    await store(database, cooling)
    assert len(await transitions(database)) == 1
    (row,) = await load(database)
    assert (row.since, row.cooldown_until, row.cooldown_boot_s) == (NOON, NOON + 30, 5030.0)


async def test_transitions_of_one_subject_can_be_asked_for(database: Database) -> None:
    gate = msgspec.structs.replace(OPENED, subject="gate:account", request_id=None)
    await store(database, OPENED, gate, then(gate, "closed", 60))
    assert {t.subject for t in await transitions(database, "gate:account")} == {"gate:account"}
    assert len(await transitions(database, "gate:account")) == 2
    assert len(await transitions(database, limit=1)) == 1
    assert await transitions(database, "' OR 1=1 --") == []


async def test_nothing_to_store_writes_nothing(database: Database) -> None:
    await store(database)
    assert await load(database) == []


async def test_a_restart_reads_what_the_breaker_wrote(database: Database) -> None:
    class Clock:
        now = 100.0
        unix = NOON

        def monotonic(self) -> float:
            return self.now

        def wall(self) -> float:
            return self.unix

    clock, changes = Clock(), list[BreakerChanged]()

    def process() -> Breakers:
        return Breakers(BreakerSettings(), clock, changes.append, lease_s=70, boot_id="boot")

    first = process()
    for _ in range(3):
        permit = first.admit(MODEL, "r")
        assert isinstance(permit, Permit)
        first.failed(permit, Failure(FailureClass.UPSTREAM_5XX, "x"))
    await store(database, *changes)
    clock.now += 100.25
    again = process()
    again.restore(await load(database))
    refusal = again.admit(MODEL, "r")
    assert isinstance(refusal, Refusal)
    assert refusal.retry_after_s == 199.75


async def test_models_without_end_leave_rows_with_an_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T23: clients may name whatever they like; what is not closed stays."""
    monkeypatch.setattr("llm_router.storage.breakers.MAX_MODELS", 10)
    await store(database, OPENED)
    for number in range(30):
        name, until = f"made/up-{number}", NOON + number
        await store(
            database, then(OPENED, "closed", 1, from_state="closed", subject=name, until=until)
        )
    kept = [row.subject for row in await load(database)]
    assert sorted(kept) == sorted([MODEL, *(f"made/up-{n}" for n in range(20, 30))])
