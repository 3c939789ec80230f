"""On a loop whose clock jumps, so that the times below are exact and take none."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import pytest

from llm_router.proxy.deadline import NEVER, Deadline, Deadlines
from tests.fakes.loop import run


def now() -> float:
    return asyncio.get_running_loop().time()


async def passes(deadline: Deadline, *steps: tuple[float, float]) -> float | None:
    """Return when the deadline passed, moving it to `to` whenever it is `at`; None for never."""
    try:
        with deadline:
            for at, to in steps:
                await asyncio.sleep(at - now())
                deadline.move(to)
            await asyncio.sleep(1000 - now())
    except TimeoutError:
        return now()
    return None


@pytest.mark.parametrize(
    ("at", "steps", "expected"),
    [
        (5, [], 5),
        (NEVER, [], None),
        (5, [(3, 10)], 10),
        (5, [(3, 10), (8, 20), (15, 30)], 30),
        (50, [(3, 10)], 10),
        (50, [(3, 10), (4, 60)], 60),
        (5, [(3, NEVER)], None),
        (NEVER, [(3, 10)], 10),
        (5, [(3, NEVER), (4, 20)], 20),
        (5, [(3, NEVER), (7, 20), (8, 9)], 9),
        (50, [(3, 2)], 3),
        (0, [], 0),
    ],
    ids=[
        "as it is",
        "never",
        "later",
        "later and later",
        "sooner",
        "sooner, then later",
        "switched off",
        "switched on",
        "off and on",
        "off, on, sooner",
        "into the past",
        "passed at once",
    ],
)
def test_it_passes_where_it_was_moved_to_last(
    at: float, steps: list[tuple[float, float]], expected: float | None
) -> None:
    async def main() -> float | None:
        return await passes(Deadline(at), *steps)

    assert run(main()) == expected


def test_a_stream_of_moves_costs_one_timer_a_period() -> None:
    """The point of it: `asyncio.timeout` would arm one at every event."""

    async def main() -> int:
        loop = asyncio.get_running_loop()
        armed = []
        call_at = loop.call_at

        def counting(when: float, *args: Any, **options: Any) -> asyncio.TimerHandle:
            armed.append(when)
            return call_at(when, *args, **options)

        with Deadline(10) as deadline:
            loop.call_at = counting  # type: ignore[assignment,method-assign]
            for _ in range(1000):
                await asyncio.sleep(0)
                deadline.move(now() + 10)
        return len(armed)

    assert run(main()) == 0


def test_what_happens_behind_the_block_is_not_cut() -> None:
    async def main() -> None:
        with Deadline(5):
            await asyncio.sleep(1)
        await asyncio.sleep(100)

    run(main())


def test_an_error_inside_stays_itself() -> None:
    async def main() -> None:
        with Deadline(5):
            raise KeyError("mine")

    with pytest.raises(KeyError):
        run(main())


def test_a_cancellation_by_others_is_no_timeout() -> None:
    """F47: a client that leaves must not look like a provider that stalls."""

    async def main() -> str:
        deadlines = Deadlines()
        assert await passes(deadlines.until(1)) == 1
        task = asyncio.ensure_future(passes(deadlines.until(5)))
        await asyncio.sleep(1)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return "cancelled"
        return "timeout"

    assert run(main()) == "cancelled"


def test_an_inner_timeout_is_told_apart() -> None:
    async def inner() -> None:
        async with asyncio.timeout(1):
            await asyncio.sleep(100)

    async def main() -> float:
        with Deadline(5), pytest.raises(TimeoutError):
            await inner()
        return now()

    assert run(main()) == 1


def test_work_that_ends_first_wins() -> None:
    async def result() -> int:
        await asyncio.sleep(4)
        return 7

    async def main(work: Coroutine[Any, Any, int]) -> int:
        with Deadline(5):
            return await work

    assert run(main(result())) == 7


def test_one_behind_the_other_they_share_a_timer() -> None:
    async def main() -> int:
        loop, deadlines = asyncio.get_running_loop(), Deadlines()
        armed = []
        call_at = loop.call_at

        def counting(when: float, *args: Any, **options: Any) -> asyncio.TimerHandle:
            armed.append(when)
            return call_at(when, *args, **options)

        with deadlines.until(now() + 10):
            loop.call_at = counting  # type: ignore[assignment,method-assign]
        for _ in range(1000):
            with deadlines.until(now() + 10):
                await asyncio.sleep(0)
        return len(armed)

    assert run(main()) == 0


@pytest.mark.parametrize("former", [3, 5, 7, NEVER, None])
@pytest.mark.parametrize("left_at", [1, 4])
def test_whoever_comes_next_has_its_own_deadline(former: float | None, left_at: float) -> None:
    """Whatever the one before it was, and whether that one's timer has fired meanwhile."""

    async def main() -> list[float | None]:
        deadlines = Deadlines()
        if former is not None:
            with suppress(TimeoutError), deadlines.until(former):
                await asyncio.sleep(left_at)
        await asyncio.sleep(4 - now())
        return [await passes(deadlines.until(at), (now() + 1, at)) for at in (6, 50, 52, NEVER)]

    assert run(main()) == [6, 50, 52, None]


def test_those_that_run_at_once_know_nothing_of_each_other() -> None:
    async def main() -> list[float | None]:
        deadlines = Deadlines()
        return await asyncio.gather(*(passes(deadlines.until(at)) for at in (5, 3, NEVER, 4)))

    assert run(main()) == [5, 3, None, 4]


def test_what_happens_between_two_is_cut_by_neither() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, facts: wrong.append(facts))
        deadlines = Deadlines()
        for _ in range(3):
            with deadlines.until(now() + 5):
                await asyncio.sleep(1)
            await asyncio.sleep(100)

    wrong: list[dict[str, Any]] = []
    run(main())
    assert not wrong
