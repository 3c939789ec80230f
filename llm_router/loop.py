"""The event loop of a process: which one it is, and how it hears that it shall stop."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a program's main coroutine on the fastest loop there is."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


@dataclass(slots=True)
class Stop:
    """Whether to stop: once to drain for at most `drain_s`, twice to cut what is left.

    `settle_s` is how long idle connections may stay before that; None is the usual moment.
    """

    drain_s: float
    settle_s: float | None = None
    first: asyncio.Event = field(default_factory=asyncio.Event)
    second: asyncio.Event = field(default_factory=asyncio.Event)

    def ask(self) -> None:
        (self.second if self.first.is_set() else self.first).set()


def on_signals(act: Callable[[], None], *numbers: signal.Signals) -> None:
    if sys.platform != "win32":  # there Ctrl-C arrives as KeyboardInterrupt
        loop = asyncio.get_running_loop()
        for number in numbers:
            loop.add_signal_handler(number, act)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # Windows, PyPy: the standard loop serves as well, only slower
        return None
    return uvloop.new_event_loop
