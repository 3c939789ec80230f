"""A process that has been started, and hears its orders later."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from llm_router.routing.config import RoutingConfig
from llm_router.settings import Settings
from llm_router.workers.control import orders
from llm_router.workers.process import start
from tests.workers.crew import is_alive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

WORKER = orders("worker", Settings(), RoutingConfig(0), is_first=False)


def children() -> set[int]:
    me = os.getpid()
    return {int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()}


async def test_it_is_there_before_its_turn_and_gone_when_that_does_not_come() -> None:
    before = children()
    is_waiting = asyncio.Event()

    async def never() -> None:
        is_waiting.set()
        await asyncio.Event().wait()

    starting = asyncio.ensure_future(start(WORKER, never))
    await is_waiting.wait()
    [pid] = children() - before
    starting.cancel()
    await asyncio.wait([starting])
    assert starting.cancelled()
    assert not is_alive(pid)
