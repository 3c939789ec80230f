"""A timeout that moves for the price of an attribute, once per relayed event."""

import asyncio
from types import TracebackType

NEVER = float("inf")


class Deadline:
    """`with Deadline(at) as deadline:` raises TimeoutError when the loop's clock passes `at`.

    `move` sets it; to put it off, so does assigning `at`. Like `asyncio.timeout`, which cancels and
    arms a timer at every reschedule; this one keeps one timer and looks at `at` only when it fires.
    Use it in the task that waits.
    """

    __slots__ = ("_armed_for", "_cancelling", "_has_passed", "_loop", "_task", "_timer", "at")

    def __init__(self, at: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._has_passed = False
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = NEVER
        self.at = at

    def move(self, at: float) -> None:
        self.at = at
        if at < self._armed_for:
            self._arm()

    def __enter__(self) -> "Deadline":
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        self._arm()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        task, self._task = self._task, None
        if self._has_passed and task is not None:
            # A cancellation of somebody else's that came as well goes first.
            is_ours = task.uncancel() <= self._cancelling
            if is_ours and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = self.at
        self._timer = None if self.at == NEVER else self._loop.call_at(self.at, self._fired)

    def _fired(self) -> None:
        if self._loop.time() < self.at:
            self._arm()
        elif self._task is not None:
            self._has_passed = True
            self._task.cancel()
