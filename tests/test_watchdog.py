import asyncio
import time

import pytest

from llm_router.watchdog import watching_loop
from tests.fakes.waiting import until


def blocking(seconds: float) -> None:
    time.sleep(seconds)


async def test_a_loop_that_stands_still_is_told_of_once_and_with_the_culprit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """F73: what blocked it is named, and nothing is killed."""
    async with watching_loop(0.05) as watchdog:
        blocking(0.5)
        await until(lambda: watchdog.blocks)
        assert watchdog.blocks == 1
        [record] = caplog.records
        assert "has stood still" in record.message
        assert "blocking" in record.message
        await asyncio.sleep(0.1)
        blocking(0.5)
        assert watchdog.blocks == 2


async def test_a_loop_that_is_merely_busy_is_left_in_peace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with watching_loop(30.0) as watchdog:
        for _ in range(50):
            blocking(0.001)
            await asyncio.sleep(0)
    assert watchdog.blocks == 0
    assert not caplog.records
