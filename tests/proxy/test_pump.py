"""The pump between two connections, driven by hand."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from multidict import CIMultiDict

from llm_router.errors import ClientGone, UpstreamError
from llm_router.proxy.commit import CommitGate
from llm_router.proxy.deadline import NEVER, Deadline
from llm_router.proxy.pump import Pump
from llm_router.proxy.relay import ClientStream
from llm_router.routing.failures import FailureClass
from llm_router.upstream.connection import Connection
from llm_router.upstream.response import UpstreamResponse
from tests.fakes.journal import Journal
from tests.fakes.loop import run
from tests.proxy.bench import FakeClient, FakeConnection
from tests.proxy.chunks import COMMENT, DONE, content, finish, usage

C = FailureClass
RESET = UpstreamError(C.RESET_MID, "reset")


class Rig:
    """A pump behind a commit; `run` lets a script act on the response meanwhile."""

    def __init__(self) -> None:
        self.connection = FakeConnection()
        self.response = UpstreamResponse(cast(Connection, self.connection), 200, CIMultiDict[str]())
        self.client = FakeClient(Journal())
        self.gate = CommitGate()

    async def pump(self, script: Callable[[], Awaitable[None]]) -> bytes:
        await self.client.open({})
        self.gate.feed(content("first"))
        with Deadline(NEVER) as deadline:
            client = cast(ClientStream, self.client)
            pump = Pump(self.gate, client, deadline, idle_s=10, ends=1000)
            pumping = asyncio.ensure_future(pump.run(self.response))
            await asyncio.sleep(0)
            await script()
            return await pumping


def pumped(rig: Rig, script: Callable[[], Awaitable[None]]) -> bytes:
    return run(rig.pump(script))


def test_blocks_go_out_in_the_callback_that_brought_them() -> None:
    async def script() -> None:
        rig.response.feed(content("a"))
        assert rig.client.body == content("a")
        rig.response.feed(COMMENT)
        assert rig.client.body == content("a") + COMMENT
        rig.response.feed(finish() + usage() + DONE)

    rig = Rig()
    assert pumped(rig, script) == finish() + usage() + DONE
    assert rig.client.body == content("a") + COMMENT


def test_half_an_event_waits_for_its_other_half() -> None:
    async def script() -> None:
        rig.response.feed(content("a")[:20])
        assert rig.client.body == b""
        rig.response.feed(content("a")[20:] + DONE)

    rig = Rig()
    assert pumped(rig, script) == content("a") + DONE


def test_nothing_counts_behind_the_end() -> None:
    """F25"""

    async def script() -> None:
        rig.response.feed(DONE)
        rig.response.feed(content("more"))
        rig.response.fail(RESET)

    rig = Rig()
    assert pumped(rig, script) == DONE
    assert rig.client.body == b""
    assert rig.gate.has_more


def test_what_had_come_before_goes_out_first() -> None:
    rig = Rig()
    rig.response.feed(content("early"))
    rig.response.feed(DONE)
    rig.response.end()

    async def script() -> None: ...

    assert pumped(rig, script) == content("early") + DONE


@pytest.mark.parametrize("is_finished", [True, False], ids=["behind a finish", "before it"])
def test_a_break_is_an_end_only_behind_a_finish(is_finished: bool) -> None:
    """F22, F24"""

    async def script() -> None:
        rig.response.feed(finish() if is_finished else content("a"))
        rig.response.fail(RESET)

    rig = Rig()
    if is_finished:
        assert pumped(rig, script) == DONE
        assert rig.client.body == finish()
    else:
        with pytest.raises(UpstreamError, match="reset"):
            pumped(rig, script)
        assert rig.client.body == content("a")


def test_the_end_without_a_finish_is_the_gates_to_judge() -> None:
    """F23"""

    async def script() -> None:
        rig.response.end()

    rig = Rig()
    assert pumped(rig, script) == b""
    assert rig.gate.failure is not None
    assert rig.gate.failure.kind is C.TRUNCATED


def test_a_client_that_left_stops_it() -> None:
    """F48"""

    async def script() -> None:
        rig.client.leaves_after = 0
        rig.response.feed(content("a"))

    rig = Rig()
    with pytest.raises(ClientGone):
        pumped(rig, script)


def test_a_client_that_is_behind_lets_the_provider_wait() -> None:
    """F31, F52: what comes meanwhile is kept, and the connection paused when it is much."""
    big = content("x" * 200_000)

    async def script() -> None:
        rig.client.slow_s = 50
        rig.response.feed(content("a"))
        await asyncio.sleep(1)
        rig.response.feed(big)
        assert rig.client.body == content("a")
        assert rig.connection.is_paused
        await asyncio.sleep(60)
        assert not rig.connection.is_paused
        assert rig.client.body == content("a") + big
        rig.client.slow_s = 0
        await asyncio.sleep(45)
        rig.response.feed(DONE)

    rig = Rig()
    assert pumped(rig, script) == DONE


def test_the_idle_deadline_runs_only_while_the_provider_is_waited_for() -> None:
    """F21, F52"""

    async def script() -> None:
        rig.client.slow_s = 500
        rig.response.feed(content("a"))
        await asyncio.sleep(400)
        rig.client.slow_s = 0
        await asyncio.sleep(105)

    async def main() -> float:
        with pytest.raises(TimeoutError):
            await rig.pump(script)
        return asyncio.get_running_loop().time()

    rig = Rig()
    assert run(main()) == 510


def test_a_cancelled_pump_takes_nothing_more() -> None:
    """F47"""

    async def main() -> None:
        pumping = asyncio.ensure_future(rig.pump(script))
        await asyncio.sleep(1)
        pumping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pumping
        rig.response.feed(content("late"))

    async def script() -> None: ...

    rig = Rig()
    run(main())
    assert rig.client.body == b""
