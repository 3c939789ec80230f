"""One place among the processes: whoever has it is replaced when it ends, and on request.

The first process to end is replaced at once. One that ends soon after it began is followed after
a pause, which doubles from one second to half a minute.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from llm_router.errors import RouterError
from llm_router.tasks import spawn
from llm_router.workers.control import Cut, Drain, Message, Orders
from llm_router.workers.process import Process, start

log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 30.0
WELL_AFTER_S = 5.0
_SETTLE_S = 2.0
_GRACE_S = 15.0  # what cutting and closing may take


Start = Callable[[Orders], Awaitable[Process]]


class Slot:
    """`orders` are asked for at every start; `changed` is called when somebody comes or goes."""

    def __init__(
        self,
        name: str,
        orders: Callable[[], Orders],
        changed: Callable[[], None],
        *,
        start: Start = start,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self.process: Process | None = None
        self._orders = orders
        self._changed = changed
        self._start = start
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._running: set[Process] = set()  # those that are leaving, too
        self._failures = 0

    def say(self, message: Message) -> None:
        if self.process is not None:
            self.process.say(message)

    async def fill(self) -> None:
        """Start a process here and wait until it is ready; RouterError says why it is not."""
        self.process = process = await self._start(self._orders())
        self._running.add(process)
        process.end.add_done_callback(lambda _: self._running.discard(process))
        self._changed()

    async def keep_filled(self) -> None:
        """Put another process here whenever one ends."""
        while True:
            process = self.process
            if process is not None:
                how = await process.ended()
                if self.process is not process:
                    continue
                self._lost(process, how)
            await self._sleep(self._pause_s())
            async with self._turn:
                if self.process is None:
                    await self._refill()

    async def replace(self, how: Drain) -> None:
        """Have another process serve here before this one stops to. RouterError changes nothing."""
        async with self._turn:
            former = self.process
            await self.fill()
        if former is not None:
            _ = spawn(_retire(former, how), name=f"retire-{former.pid}")

    async def restart(self) -> None:
        """End the process here before another one begins: two cannot do this one's work."""
        async with self._turn:
            former, self.process = self.process, None
            if former is not None:
                await _retire(former, Drain(0.0))
            await self.fill()

    async def empty(self, drain_s: float) -> None:
        """Have everybody here finish and end; those who do not are cut, then killed."""
        self.say(Drain(drain_s))
        self.process = None
        await self._gone_within(drain_s + _SETTLE_S)
        self.cut()
        await self._gone_within(_GRACE_S)
        for process in self._running:
            process.kill()
        await self._gone_within(None)

    def cut(self) -> None:
        for process in self._running:
            process.say(Cut())

    async def _gone_within(self, seconds: float | None) -> None:
        if self._running:
            await asyncio.wait({process.end for process in self._running}, timeout=seconds)

    async def _refill(self) -> None:
        try:
            await self.fill()
        except RouterError as exc:
            self._failures += 1
            log.error("%s cannot be started: %s", self.name, exc)
        else:
            assert self.process is not None
            log.info("%s is process %d now", self.name, self.process.pid)

    def _lost(self, process: Process, how: str) -> None:
        lived_s = asyncio.get_running_loop().time() - process.began
        self._failures = 0 if lived_s > WELL_AFTER_S else self._failures
        self._failures += 1
        self.process = None
        log.error("%s, process %d, ended with %s", self.name, process.pid, how)
        self._changed()

    def _pause_s(self) -> float:
        """Return 0 after the first failure, then 1, 2, 4 … seconds."""
        return min(LONGEST_PAUSE_S, 2.0 ** (self._failures - 2)) if self._failures > 1 else 0.0


async def _retire(process: Process, how: Drain) -> None:
    process.say(how)
    await process.end_within(how.drain_s + (how.settle_s or _SETTLE_S) + _GRACE_S)
