"""How long one callback kept an event loop busy: nobody else is served meanwhile.

Measured in processor time of the thread, so a busy machine does not count against anybody; nor does
the garbage collector, which in a test walks mostly what the tests have made.
"""

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class Longest:
    """The longest callback so far, in milliseconds, and what it was."""

    def __init__(self) -> None:
        self.ms = 0.0
        self.what = ""
        self.since = 0.0

    def forget(self) -> None:
        """Begin anew; the callback that is under way does not count."""
        self.ms, self.what, self.since = 0.0, "", time.thread_time()


@contextmanager
def longest_callback() -> Iterator[Longest]:
    """Watch the callbacks of this loop, the watching task's own aside, until the block ends."""
    longest, watching = Longest(), asyncio.current_task()
    run = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        begun = time.thread_time()
        run(handle)
        took_ms = (time.thread_time() - begun) * 1000
        if took_ms > longest.ms and begun >= longest.since and _task(handle) is not watching:
            longest.ms, longest.what = took_ms, str(_task(handle) or handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", timed)
        gc.disable()
        try:
            yield longest
        finally:
            gc.enable()


def _task(handle: asyncio.Handle) -> object:
    task = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]
    return task if isinstance(task, asyncio.Task) else None
