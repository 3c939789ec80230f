"""How many wrong keys an address may present, and how many addresses are remembered."""

import pytest

from llm_router.web.guesses import EVERY_S, FREE_GUESSES, MAX_ADDRESSES, Guesses
from tests.fakes.clock import Clock

PEER = "203.0.113.9"


def exhaust(guesses: Guesses, peer: str = PEER) -> None:
    for _ in range(FREE_GUESSES):
        assert guesses.wait_s(peer, None) == 0
    assert guesses.wait_s(peer, None) > 0


def test_after_the_free_guesses_there_is_one_every_few_seconds() -> None:
    """T14"""
    clock = Clock()
    guesses = Guesses(clock)
    exhaust(guesses)
    assert guesses.wait_s(PEER, None) == pytest.approx(EVERY_S)
    clock.pass_s(EVERY_S)
    assert guesses.wait_s(PEER, None) == 0
    assert guesses.wait_s(PEER, None) > 0
    clock.pass_s(1e6)
    exhaust(guesses)


def test_an_attempt_that_is_refused_does_not_push_the_next_one_back() -> None:
    clock = Clock()
    guesses = Guesses(clock)
    exhaust(guesses)
    for part in range(1, 8):
        clock.pass_s(EVERY_S / 8)
        assert guesses.wait_s(PEER, None) == pytest.approx(EVERY_S * (1 - part / 8))


def test_whoever_was_let_in_before_still_is_and_nobody_else() -> None:
    """T14: one client's mistake locks out none of those that share its address."""
    guesses = Guesses(Clock())
    assert guesses.wait_s(PEER, "laptop") == 0
    exhaust(guesses)
    assert guesses.wait_s(PEER, "laptop") == 0
    assert guesses.wait_s(PEER, "phone") > 0
    assert guesses.wait_s("198.51.100.1", "phone") == 0


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1:2:3", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:203.0.113.9", "203.0.113.9", True),
        ("203.0.113.9", "203.0.113.10", False),
        ("", "unix", False),
    ],
)
def test_who_counts_as_one_guesser(one: str, other: str, is_same: bool) -> None:
    """T14: with IPv6 everybody has as many addresses as they like."""
    guesses = Guesses(Clock())
    exhaust(guesses, one)
    assert (guesses.wait_s(other, None) > 0) == is_same


def test_a_million_addresses_take_no_more_room_than_the_last_few_thousand() -> None:
    """T14 T23"""
    guesses = Guesses(Clock())
    for number in range(2 * MAX_ADDRESSES):
        guesses.wait_s(f"2001:db8:{number:x}::1", None)
    assert len(guesses) == MAX_ADDRESSES


def test_it_is_told_once_and_not_by_every_guess(caplog: pytest.LogCaptureFixture) -> None:
    """T14 T25"""
    guesses = Guesses(Clock())
    exhaust(guesses)
    exhausted = [r.getMessage() for r in caplog.records]
    assert exhausted == [f"{PEER} presents one wrong key after another"]
