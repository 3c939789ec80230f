"""A timeout that moves for the price of an attribute, once per relayed event."""

import asyncio
from types import TracebackType

NEVER = float("inf")


class Deadline:
    """`async with Deadline(at) as deadline:` raises TimeoutError when the loop's clock passes `at`.

    `asyncio.timeout` cancels and arms a timer at every reschedule. This one keeps one timer and
    looks at `at` only when it fires.
    """

    def __init__(self, at: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = NEVER
        self._at = at

    def move(self, at: float) -> None:
        self._at = at
        if at < self._armed_for:
            self._arm()

    async def __aenter__(self) -> "Deadline":
        await self._timeout.__aenter__()
        self._arm()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._timeout.__aexit__(kind, error, traceback)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = self._at
        self._timer = None if self._at == NEVER else self._loop.call_at(self._at, self._fired)

    def _fired(self) -> None:
        if self._loop.time() < self._at:
            self._arm()
        else:
            self._timeout.reschedule(self._loop.time())
