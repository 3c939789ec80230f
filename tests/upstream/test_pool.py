"""Which connections are kept, and for how long."""

import asyncio

import pytest

from llm_router.settings import DeadlineSettings
from llm_router.upstream.pool import IDLE_S, Pool, open_pool
from tests.fakes.chaos import HANG, REQUEST, Step, running_chaos
from tests.fakes.waiting import until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEAD = b"GET / HTTP/1.1\r\n\r\n"
ONCE: list[Step] = [REQUEST, OK]
SERVES = [*ONCE * 9, HANG]


async def get(pool: Pool) -> None:
    response = await pool.send(HEAD)
    assert await response.body() == b"ok"


def after(seconds: float, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pool's own clock jump."""
    later = asyncio.get_running_loop().time() + seconds

    class Loop:
        def time(self) -> float:
            return later

        def call_later(self, *args: object) -> asyncio.TimerHandle:
            return asyncio.get_running_loop().call_later(3600, lambda: None)

    monkeypatch.setattr(pool, "_loop", Loop())


async def test_calls_at_the_same_time_have_connections_of_their_own() -> None:
    async with (
        running_chaos(SERVES) as chaos,
        open_pool(DeadlineSettings(), chaos.url) as pool,
    ):
        await asyncio.gather(*(get(pool) for _ in range(5)))
        assert len(chaos.connections) == 5
        await asyncio.gather(*(get(pool) for _ in range(5)))
        assert len(chaos.connections) == 5


async def test_nothing_is_connected_before_the_first_call() -> None:
    async with running_chaos(SERVES) as chaos, open_pool(DeadlineSettings(), chaos.url):
        await asyncio.sleep(0.01)
        assert chaos.connections == []


async def test_the_connection_used_last_goes_first() -> None:
    async with (
        running_chaos(SERVES) as chaos,
        open_pool(DeadlineSettings(), chaos.url) as pool,
    ):
        await asyncio.gather(get(pool), get(pool))
        for _ in range(5):
            await get(pool)
        counts = sorted(c.received.count(HEAD) for c in chaos.connections)
        assert counts == [1, 6]


async def test_a_connection_that_was_idle_for_long_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """F07: by then the provider is about to close it."""
    async with (
        running_chaos(SERVES) as chaos,
        open_pool(DeadlineSettings(), chaos.url) as pool,
    ):
        await get(pool)
        after(IDLE_S + 1, pool, monkeypatch)
        await get(pool)
        assert len(chaos.connections) == 2
        await asyncio.wait_for(chaos.connections[0].over.wait(), 10)


async def test_spare_connections_grow_old_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """F05: a new one goes to wherever the name points by now."""
    async with (
        running_chaos(SERVES) as chaos,
        open_pool(DeadlineSettings(), chaos.url) as pool,
    ):
        await asyncio.gather(get(pool), get(pool))
        pool._sweep()
        assert not any(c.over.is_set() for c in chaos.connections)
        after(IDLE_S + 1, pool, monkeypatch)
        pool._sweep()
        await until(lambda: all(c.over.is_set() for c in chaos.connections))


async def test_closing_closes_idle_connections_and_those_that_come_back() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    go = asyncio.Event()
    async with running_chaos([REQUEST, OK, HANG], [REQUEST, head, go, b"ok", HANG]) as chaos:
        async with open_pool(DeadlineSettings(), chaos.url) as pool:
            answers = await asyncio.gather(pool.send(HEAD), pool.send(HEAD))
        go.set()
        assert [await answer.body() for answer in answers] == [b"ok", b"ok"]
        await until(lambda: all(c.over.is_set() for c in chaos.connections))
