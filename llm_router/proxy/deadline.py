"""A timeout that moves for the price of an attribute, and whose timer serves one after another."""

import asyncio
from types import TracebackType

NEVER = float("inf")


class Deadline:
    """`with Deadline(at) as deadline:` raises TimeoutError when the loop's clock passes `at`.

    `move` sets it; to put it off, so does assigning `at`. Like `asyncio.timeout`, which cancels and
    arms a timer at every reschedule; this one keeps one timer and looks at `at` only when it fires.
    Use it in the task that waits; when that is over, it goes to `spare`, its timer still running.
    """

    __slots__ = (
        "_armed_for",
        "_cancelling",
        "_has_passed",
        "_spare",
        "_task",
        "_timer",
        "at",
        "loop",
    )

    def __init__(self, at: float, spare: "list[Deadline] | None" = None) -> None:
        self.loop = asyncio.get_running_loop()
        self._spare = spare
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
        task = asyncio.current_task(self.loop)
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        if self.at < self._armed_for:
            self._arm()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if self._spare is not None:
            self._spare.append(self)
        elif self._timer is not None:
            self._timer.cancel()
        if self._has_passed and task is not None:
            self._has_passed = False
            # A cancellation of somebody else's that came as well goes first.
            is_ours = task.uncancel() <= self._cancelling
            if is_ours and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = self.at
        self._timer = None if self.at == NEVER else self.loop.call_at(self.at, self._fired)

    def _fired(self) -> None:
        self._timer, self._armed_for = None, NEVER
        if self._task is None:
            return
        if self.loop.time() < self.at:
            self._arm()
        else:
            self._has_passed = True
            self._task.cancel()


class Deadlines:
    """Hands out deadlines, with the timers of those before them.

    Hardly a deadline passes, and arming a timer only to cancel it costs more than all the rest.
    They belong to the loop that runs when this is made. `loop` is it, `now` its clock: to ask
    asyncio which loop runs is a system call.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self._spare: list[Deadline] = []

    def until(self, at: float) -> Deadline:
        spare = self._spare
        if not spare:
            return Deadline(at, spare)
        deadline = spare.pop()
        deadline.at = at
        return deadline
