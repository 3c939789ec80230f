"""When Python looks for cycles."""

import gc
from collections.abc import Iterator
from contextlib import suppress

import pytest

from llm_router import collector


@pytest.fixture(autouse=True)
def _unrested() -> Iterator[None]:
    """The collector is as it was behind the test."""
    threshold = gc.get_threshold()
    yield
    gc.enable()
    gc.set_threshold(*threshold)
    gc.unfreeze()


def test_it_rests_once_everything_is_up() -> None:
    frozen = gc.get_freeze_count()
    collector.rest()
    assert gc.get_freeze_count() > frozen
    assert gc.get_threshold()[0] == 5_000


def test_it_does_not_look_for_cycles_while_requests_wait() -> None:
    looked: list[str] = []

    def note(phase: str, _: dict[str, int]) -> None:
        looked.append(phase)

    gc.callbacks.append(note)
    try:
        collector.rest()
    finally:
        gc.callbacks.remove(note)
    assert looked == []


def test_it_pauses_for_a_block_and_goes_on_only_if_it_was_at_work() -> None:
    with suppress(ImportError), collector.paused():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
    gc.disable()
    with collector.paused():
        pass
    assert not gc.isenabled()
