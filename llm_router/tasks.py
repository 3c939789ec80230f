"""Background tasks that have a name, a reference and a place where their errors go."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

# The event loop keeps only weak references to tasks.
_running: set[asyncio.Task[Any]] = set()


def spawn(coro: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Start a task that cannot be collected early and whose failure is logged once."""
    task = asyncio.get_running_loop().create_task(coro, name=name)
    _running.add(task)
    task.add_done_callback(_finished)
    return task


def launch(coro: Coroutine[Any, Any, None], *, name: str) -> None:
    """Start a task that nobody waits for."""
    _ = spawn(coro, name=name)


@asynccontextmanager
async def beside(coro: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[None]:
    """Run a task for as long as the block runs."""
    task = spawn(coro, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task %s failed", task.get_name(), exc_info=error)
