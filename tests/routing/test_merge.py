from dataclasses import replace
from typing import Any

import msgspec

from llm_router.ledger.entry import BreakerChanged
from llm_router.routing.merge import Settled, settle
from llm_router.routing.snapshot import StoredBreaker

NOON = 1_769_860_800.0


def change(from_state: str, to_state: str, stamp: int, **facts: Any) -> BreakerChanged:
    """A change at so many seconds after the boot."""
    is_closed = to_state == "closed"
    moved = BreakerChanged(
        subject="a/one",
        at=NOON + stamp,
        from_state=from_state,
        to_state=to_state,
        reason=f"reason {stamp}",
        request_id="r",
        until=None if is_closed else NOON + stamp + 300,
        until_boot_s=None if is_closed else stamp + 300.0,
        cooldown_until=None,
        cooldown_boot_s=None,
        boot_id="boot",
        failures=0,
        wait_s=300.0,
        stamp=stamp,
    )
    return msgspec.structs.replace(moved, **facts)


def cooling(stamp: int, seconds: float, state: str = "closed") -> BreakerChanged:
    until = stamp + seconds
    return change(state, state, stamp, cooldown_until=NOON + until, cooldown_boot_s=until)


def after(*changes: BreakerChanged) -> tuple[StoredBreaker, int]:
    """Return the row behind the changes, and how many transitions they made."""
    row, moves = None, 0
    for each in changes:
        settled = settle(row, each)
        if settled is not None:
            row, moves = settled.row, moves + settled.is_move
    assert row is not None
    return row, moves


TRIP = change("closed", "open", 10)
PROBE = change("open", "half_open", 400)


def test_the_first_change_makes_the_row() -> None:
    row, moves = after(TRIP)
    assert (row.state, row.since, row.until_boot_s, row.stamp) == ("open", NOON + 10, 310, 10)
    assert moves == 1


def test_two_that_trip_at_once_make_one_transition_and_one_wait() -> None:
    """F82"""
    row, moves = after(TRIP, change("closed", "open", 11))
    assert (row.state, row.until_boot_s, moves) == ("open", 310, 1)
    assert row.stamp == 11, "so that the second hears of it"


def test_what_comes_too_late_changes_nothing() -> None:
    row, _ = after(TRIP)
    assert settle(row, change("closed", "open", 9)) is None
    assert settle(row, cooling(9, 1000)) is None


def test_a_trip_from_before_the_probe_does_not_end_it() -> None:
    row, moves = after(TRIP, PROBE, change("closed", "open", 401))
    assert (row.state, row.reason, moves) == ("half_open", "reason 400", 2)


def test_a_probe_that_failed_after_a_reset_opens_nothing() -> None:
    reset = change("open", "closed", 500)
    row, moves = after(TRIP, PROBE, reset, change("half_open", "open", 501))
    assert (row.state, moves) == ("closed", 3)


def test_closing_holds_whatever_the_state_was() -> None:
    row, moves = after(TRIP, PROBE, change("open", "closed", 401))
    assert (row.state, row.until, moves) == ("closed", None, 3)


def test_the_longer_of_two_rests_holds() -> None:
    row, moves = after(cooling(1, 60), cooling(2, 5))
    assert (row.cooldown_boot_s, row.cooldown_until, moves) == (61, NOON + 61, 0)
    row, _ = after(cooling(1, 5), cooling(2, 60))
    assert row.cooldown_boot_s == 62


def test_a_rest_leaves_the_state_that_another_process_made() -> None:
    row, moves = after(TRIP, cooling(12, 60))
    assert (row.state, row.until_boot_s, row.cooldown_boot_s, moves) == ("open", 310, 72, 1)


def test_a_reset_ends_a_rest_and_an_opening_does_not() -> None:
    row, _ = after(cooling(1, 60), TRIP)
    assert row.cooldown_boot_s == 61
    row, _ = after(cooling(1, 60), change("closed", "closed", 2))
    assert row.cooldown_boot_s is None


def test_a_reset_closes_what_another_process_has_just_opened() -> None:
    row, moves = after(TRIP, change("closed", "closed", 11, word="reset"))
    assert (row.state, row.counts_from, moves) == ("closed", 11, 2)


def test_what_comes_after_a_reset_says_when_it_was() -> None:
    reset = change("closed", "closed", 11, word="reset")
    row, moves = after(reset, change("closed", "closed", 12, failures=1))
    assert (row.failures, row.counts_from, moves) == (1, 11, 0)
    row, _ = after(reset, change("closed", "closed", 1, failures=1, boot_id="next"))
    assert row.counts_from == 0, "stamps of another boot mean nothing"


def test_a_longer_lease_is_taken_over_without_a_transition() -> None:
    renewed = change("half_open", "half_open", 420, until_boot_s=2200.0)
    row, moves = after(TRIP, PROBE, renewed)
    assert (row.state, row.until_boot_s, row.since, moves) == ("half_open", 2200, NOON + 400, 2)


def test_stamps_of_another_boot_or_from_before_there_were_any_do_not_count() -> None:
    for late in (change("open", "closed", 1, boot_id="next"), change("open", "closed", 0)):
        row, _ = after(change("closed", "open", 1000), late)
        assert row.state == "closed"
    unknown = change("closed", "open", 1000, boot_id=None)
    row, _ = after(unknown, change("open", "closed", 1, boot_id=None))
    assert row.state == "closed"


def test_what_is_settled_again_changes_nothing_more() -> None:
    row, _ = after(TRIP)
    assert settle(row, TRIP) is None
    assert settle(None, TRIP) == Settled(replace(row), is_move=True)
