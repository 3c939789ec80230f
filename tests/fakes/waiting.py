"""Waiting for what has no event of its own."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object]) -> None:
    """Return as soon as the condition holds; TimeoutError if it does not in ten seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - that is the point
            await asyncio.sleep(0.001)
