"""Who follows when a process ends, and after what pause."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from llm_router.errors import RouterError
from llm_router.tasks import spawn
from llm_router.workers import slot as slots
from llm_router.workers.control import Cut, Drain, Message, Orders
from llm_router.workers.process import Process
from llm_router.workers.slot import LONGEST_PAUSE_S, WELL_AFTER_S, Slot
from tests.fakes.waiting import until

ORDERS = Orders("worker", {}, {}, False)


class FakeProcess:
    """Ends when it is told to, or when a test says so."""

    def __init__(self, pid: int, *, is_obedient: bool = True) -> None:
        self.pid = pid
        self.began = asyncio.get_running_loop().time()
        self.is_obedient = is_obedient
        self.heard: list[Message] = []
        self.end: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def say(self, message: Message) -> None:
        self.heard.append(message)
        if self.is_obedient:
            self.die(0)

    def die(self, status: int = -9) -> None:
        if not self.end.done():
            self.end.set_result(status)

    def kill(self) -> None:
        self.die()

    async def ended(self) -> str:
        return f"status {await asyncio.shield(self.end)}"

    async def end_within(self, seconds: float) -> None:
        await self.ended()


class Yard:
    """Starts fake processes; `pauses` are those between them."""

    def __init__(self) -> None:
        self.started: list[FakeProcess] = []
        self.pauses: list[float] = []
        self.failures: list[str] = []
        self.changes = 0
        self.is_obedient = True
        self.slot = Slot(
            "worker 1", lambda: ORDERS, self._changed, start=self._start, sleep=self._sleep
        )

    @property
    def latest(self) -> FakeProcess:
        return self.started[-1]

    async def _start(self, orders: Orders) -> Process:
        if self.failures:
            raise RouterError(self.failures.pop(0))
        process = FakeProcess(len(self.started) + 1, is_obedient=self.is_obedient)
        self.started.append(process)
        return cast("Process", process)

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
async def yard() -> AsyncIterator[Yard]:
    yard = Yard()
    await yard.slot.fill()
    keeping = spawn(yard.slot.keep_filled(), name="keep")
    yield yard
    keeping.cancel()
    await asyncio.wait([keeping])
    for process in yard.started:
        process.die()


async def test_the_first_to_end_is_followed_at_once(yard: Yard) -> None:
    yard.latest.die()
    await until(lambda: len(yard.started) == 2)
    assert yard.pauses == [0]
    assert yard.changes == 3  # come, gone, come


async def test_pauses_grow_while_nobody_lasts_and_never_beyond_half_a_minute(yard: Yard) -> None:
    """F71"""
    for count in range(2, 11):
        yard.latest.die()
        await until(lambda wanted=count: len(yard.started) == wanted)  # type: ignore[misc]
    assert yard.pauses == [0, 1, 2, 4, 8, 16, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


async def test_whoever_lasted_is_followed_at_once_again(yard: Yard) -> None:
    for _ in range(3):
        yard.latest.began -= WELL_AFTER_S + 1
        count = len(yard.started)
        yard.latest.die()
        await until(lambda wanted=count: len(yard.started) > wanted)  # type: ignore[misc]
    assert yard.pauses == [0, 0, 0]


async def test_what_cannot_be_started_is_tried_again_and_said(
    yard: Yard, caplog: pytest.LogCaptureFixture
) -> None:
    yard.failures = ["no memory", "no memory"]
    yard.latest.die()
    await until(lambda: len(yard.started) == 2)
    assert yard.pauses == [0, 1, 2]
    assert caplog.text.count("worker 1 cannot be started: no memory") == 2


async def test_a_replacement_serves_before_the_former_is_asked_to_leave(yard: Yard) -> None:
    former = yard.latest
    how = Drain(1800, 75)
    await yard.slot.replace(how)
    assert yard.slot.process is cast("Process", yard.latest)
    await until(lambda: former.heard == [how])
    assert yard.pauses == []


async def test_a_replacement_that_does_not_come_changes_nothing(yard: Yard) -> None:
    former = yard.latest
    yard.failures = ["no memory"]
    with pytest.raises(RouterError):
        await yard.slot.replace(Drain(1))
    assert yard.slot.process is cast("Process", former)
    assert former.heard == []


async def test_a_restart_waits_for_the_end_of_the_former(yard: Yard) -> None:
    former = yard.latest
    await yard.slot.restart()
    assert former.end.done()
    assert len(yard.started) == 2
    assert yard.pauses == []


async def test_emptying_asks_then_cuts_then_kills(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "_SETTLE_S", 0.01)
    monkeypatch.setattr(slots, "_GRACE_S", 0.01)
    yard.latest.is_obedient = False
    await yard.slot.empty(0)
    assert yard.latest.heard == [Drain(0), Cut()]
    assert yard.latest.end.result() == -9
