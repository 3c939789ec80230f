"""How long one callback kept an event loop busy: nobody else is served meanwhile.

Measured in processor time of the thread, so a busy machine does not count against anybody.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class Longest:
    """The longest callback so far, in milliseconds, and what it was."""

    def __init__(self) -> None:
        self.ms = 0.0
        self.what = ""

    def forget(self) -> None:
        self.ms, self.what = 0.0, ""


@contextmanager
def longest_callback() -> Iterator[Longest]:
    """Watch the callbacks of asyncio's own loops for as long as the block runs."""
    longest = Longest()
    run = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        begun = time.thread_time()
        run(handle)
        took_ms = (time.thread_time() - begun) * 1000
        if took_ms > longest.ms:
            longest.ms, longest.what = took_ms, repr(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", timed)
        yield longest
