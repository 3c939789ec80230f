"""Noticing that the event loop stands still, and saying where.

While a callback runs nobody else is served. A thread looks at a mark that the loop renews; once the
mark is too old, it writes down what the loop's thread is doing. Nothing is ended: the callback may
come back, and whoever reads the log knows which one it was.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

log = logging.getLogger(__name__)

TOO_LONG_S = 1.0
_FRAMES = 12


class Watchdog:
    """Made by `watching_loop`. `blocks` counts how often the loop stood still, so far."""

    def __init__(self, too_long_s: float) -> None:
        self.blocks = 0
        self._too_long_s = too_long_s
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._marked_at = time.monotonic()
        self._timer = self._loop.call_soon(self._mark)
        self._over = threading.Event()

    def watch(self) -> None:
        """Look until `stop`; runs in a thread of its own."""
        is_known = False
        while not self._over.wait(self._too_long_s / 4):
            stood_s = time.monotonic() - self._marked_at
            if stood_s < self._too_long_s:
                is_known = False
            elif not is_known:
                is_known = True
                self.blocks += 1
                self._tell(stood_s)

    def stop(self) -> None:
        self._over.set()
        self._timer.cancel()

    def _mark(self) -> None:
        self._marked_at = time.monotonic()
        self._timer = self._loop.call_later(self._too_long_s / 4, self._mark)

    def _tell(self, stood_s: float) -> None:
        frame = sys._current_frames().get(self._thread)
        stack = traceback.format_stack(frame)[-_FRAMES:] if frame is not None else []
        log.error("the event loop has stood still for %.1f s:\n%s", stood_s, "".join(stack))


@asynccontextmanager
async def watching_loop(too_long_s: float = TOO_LONG_S) -> AsyncIterator[Watchdog]:
    """Watch the running loop for as long as the block runs."""
    watchdog = Watchdog(too_long_s)
    thread = threading.Thread(target=watchdog.watch, name="watchdog", daemon=True)
    thread.start()
    try:
        yield watchdog
    finally:
        watchdog.stop()
        thread.join()
