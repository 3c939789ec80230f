"""Python's collector of cycles: out of the way of a start, and seldom at work after it."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """Look for no cycles meanwhile: of what importing makes, next to nothing is garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def rest() -> None:
    """Look for cycles rarely, and never again among what start-up made.

    Requests leave few cycles behind, and the default looks for them every 700 objects, which is
    every few requests. Much more seldom is dearer again: fresh memory is cold. It does not look now
    either: that holds the loop for 60 ms, in which a start leaves nothing to find.
    """
    gc.freeze()
    gc.set_threshold(5_000, 20, 50)
