import pytest

from llm_router.classify.base import Decision, Prompt
from llm_router.classify.cache import GUESS_KEPT_S, DecisionCache, key_of
from llm_router.routing.config import RoutingConfig
from tests.classify.helpers import FakeClock, config

CODE = Decision("code", "keywords", 0.9)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_what_was_decided_is_found_again(clock: FakeClock) -> None:
    cache = DecisionCache(clock)
    assert cache.keep(b"1", CODE) is CODE
    clock.now += 1e6
    assert cache.find(b"1") is CODE
    assert cache.find(b"2") is None


def test_a_guess_is_made_anew_after_half_a_minute(clock: FakeClock) -> None:
    cache = DecisionCache(clock)
    cache.keep(b"1", CODE, is_guess=True)
    clock.now += GUESS_KEPT_S - 1
    assert cache.find(b"1") is CODE
    clock.now += 1
    assert cache.find(b"1") is None


def test_within_a_user_turn_a_guess_stands(clock: FakeClock) -> None:
    """The model of a conversation would otherwise change between two of its tool steps."""
    cache = DecisionCache(clock)
    cache.keep(b"1", CODE, is_guess=True)
    clock.now += 10 * GUESS_KEPT_S
    assert cache.find(b"1", is_step=True) is CODE


def test_it_is_bounded_and_forgets_what_was_used_least_lately(clock: FakeClock) -> None:
    """T23"""
    cache = DecisionCache(clock, kept=2)
    for key in (b"1", b"2"):
        cache.keep(key, CODE)
    cache.find(b"1")
    cache.keep(b"3", CODE)
    assert [cache.find(key) for key in (b"1", b"2", b"3")] == [CODE, None, CODE]


def test_one_that_keeps_nothing_finds_nothing(clock: FakeClock) -> None:
    cache = DecisionCache(clock, kept=0)
    assert cache.keep(b"1", CODE) is CODE
    assert cache.find(b"1") is None


@pytest.mark.parametrize(
    ("prompt", "where"),
    [
        (Prompt("other"), config()),
        (Prompt("text", context="earlier"), config()),
        (Prompt("text", chore="title"), config()),
        (Prompt("text"), config(version=2)),
    ],
    ids=["text", "context", "chore", "configuration"],
)
def test_a_key_tells_apart_what_decides(prompt: Prompt, where: RoutingConfig) -> None:
    assert key_of(prompt, where) != key_of(Prompt("text"), config())


def test_a_tool_step_has_the_key_of_its_user_turn() -> None:
    assert key_of(Prompt("text", is_step=True), config()) == key_of(Prompt("text"), config())


def test_half_a_surrogate_pair_has_a_key() -> None:
    assert key_of(Prompt("\ud83d"), config())
