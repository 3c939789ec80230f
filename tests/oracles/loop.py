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
    """Watch the callbacks of asyncio's own loops for as long as the block runs."""
    longest = Longest()
    run = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        begun = time.thread_time()
        run(handle)
        took_ms = (time.thread_time() - begun) * 1000
        if took_ms > longest.ms and begun >= longest.since:
            longest.ms, longest.what = took_ms, repr(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", timed)
        gc.disable()
        try:
            yield longest
        finally:
            gc.enable()
