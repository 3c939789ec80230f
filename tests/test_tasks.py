import asyncio
import gc
import weakref

import pytest

from llm_router.tasks import launch, spawn


async def value(result: int) -> int:
    return result


async def test_a_task_has_a_name_and_a_result() -> None:
    task = spawn(value(7), name="seven")
    assert task.get_name() == "seven"
    assert await task == 7


async def test_a_task_that_nobody_holds_is_not_collected() -> None:
    """The event loop keeps only weak references."""
    done = []

    async def work() -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters.append(weakref.ref(waiter))
        asyncio.get_running_loop().call_later(0.01, waiter.set_result, None)
        await waiter
        done.append(1)

    waiters: list[weakref.ref[asyncio.Future[None]]] = []
    launch(work(), name="work")
    await asyncio.sleep(0)
    gc.collect()
    await asyncio.sleep(0.05)
    assert done == [1]


async def test_a_failure_is_logged_once_with_the_tasks_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise KeyError("oh")

    launch(fail(), name="careless")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    [record] = caplog.records
    assert record.getMessage() == "task careless failed"
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError


async def test_a_cancelled_task_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    task = spawn(asyncio.sleep(9), name="long")
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()
    assert caplog.records == []
