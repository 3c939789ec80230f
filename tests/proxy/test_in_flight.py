import asyncio
from typing import cast

import pytest

from llm_router.proxy.exchange import Exchange
from llm_router.proxy.in_flight import InFlight
from tests.fakes.loop import run


class FakeExchange:
    is_cut = False


def exchange() -> Exchange:
    return cast(Exchange, FakeExchange())


async def answer(in_flight: InFlight, exchange: Exchange, seconds: float) -> None:
    task = asyncio.current_task()
    assert task is not None
    in_flight.add(task, exchange)
    try:
        await asyncio.sleep(seconds)
    finally:
        in_flight.remove(task)


def test_nothing_in_flight_is_drained_at_once() -> None:
    async def main() -> tuple[bool, float]:
        done = await InFlight().drained(10)
        return done, asyncio.get_running_loop().time()

    assert run(main()) == (True, 0)


def test_it_counts_requests_while_they_are_answered() -> None:
    async def main() -> list[int]:
        in_flight, counts = InFlight(), []
        tasks = [asyncio.ensure_future(answer(in_flight, exchange(), s)) for s in (1, 3)]
        for moment in (0.5, 2, 4):
            await asyncio.sleep(moment - asyncio.get_running_loop().time())
            counts.append(len(in_flight))
        await asyncio.gather(*tasks)
        return counts

    assert run(main()) == [2, 1, 0]


@pytest.mark.parametrize(("seconds", "expected"), [(3, (True, 3)), (30, (False, 10))])
def test_it_waits_for_the_last_one_but_not_for_ever(
    seconds: float, expected: tuple[bool, float]
) -> None:
    """F66"""

    async def main() -> tuple[bool, float]:
        in_flight = InFlight()
        tasks = [asyncio.ensure_future(answer(in_flight, exchange(), s)) for s in (1, seconds)]
        await asyncio.sleep(0)
        drained = await in_flight.drained(10), asyncio.get_running_loop().time()
        await asyncio.gather(*tasks)
        return drained

    assert run(main()) == expected


def test_cutting_tells_every_request_why_it_is_cancelled() -> None:
    """F67, F68"""

    async def main() -> None:
        in_flight, exchanges = InFlight(), [exchange(), exchange()]
        tasks = [asyncio.ensure_future(answer(in_flight, each, 99)) for each in exchanges]
        await asyncio.sleep(0)
        in_flight.cut_all()
        assert [each.is_cut for each in exchanges] == [True, True]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 2
        assert await in_flight.drained(0)

    run(main())
