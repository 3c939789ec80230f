"""The chat requests being answered, so that a shutdown can wait for them and end the rest."""

import asyncio

from llm_router.proxy.exchange import Exchange


class InFlight:
    """Requests of this process by their task."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[object], Exchange] = {}
        self._idle: asyncio.Event | None = None  # for whoever waits for it

    def __len__(self) -> int:
        return len(self._tasks)

    def add(self, task: asyncio.Task[object], exchange: Exchange) -> None:
        self._tasks[task] = exchange

    def remove(self, task: asyncio.Task[object]) -> None:
        del self._tasks[task]
        if self._idle is not None and not self._tasks:
            self._idle.set()

    async def drained(self, timeout_s: float) -> bool:
        """Wait until nothing is in flight; False when it took longer than `timeout_s`."""
        if not self._tasks:
            return True
        if self._idle is None:
            self._idle = asyncio.Event()
        self._idle.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def cut_all(self) -> None:
        """End every request honestly: its client is told, its row says why."""
        for task, exchange in self._tasks.items():
            exchange.is_cut = True
            task.cancel()
