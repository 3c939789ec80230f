"""Which changes of a breaker hold when several processes change it, decided one after another.

Each process counts failures by itself, but they share what they concluded: the row of a breaker.
A change says from which state it moved, so two processes that trip at once make one transition,
and what was concluded from a state that is over no longer counts.
"""

from dataclasses import dataclass, replace
from typing import cast

from llm_router.clock import Clock
from llm_router.ledger.entry import BreakerChanged
from llm_router.routing.gate_state import State
from llm_router.routing.snapshot import StoredBreaker

_HELD = ("open", "closed", "off")  # in the history even where the state stays as it is


@dataclass(frozen=True, slots=True)
class Settled:
    """What the row is after a change, and whether that was a transition."""

    row: StoredBreaker
    is_move: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    """`rows` is how things stand where the claim was refused.

    `is_unwritten`: it was granted while no row can be written, so the claimant has to tell of it.
    """

    is_granted: bool
    rows: tuple[StoredBreaker, ...] = ()
    is_unwritten: bool = False


def settle(row: StoredBreaker | None, change: BreakerChanged) -> Settled | None:
    """Return what a change makes of the row; None if it comes too late to make anything of it."""
    if row is None:
        is_move = change.from_state != change.to_state or change.word in _HELD
        return Settled(_row(change), is_move)
    if not _is_newer(row, change):
        return None
    if change.word is not None:
        is_move = row.state != change.to_state or change.word in _HELD or row.forced is not None
        return Settled(_row(change), is_move)
    cooled = replace(_cooled(row, change), stamp=max(row.stamp, change.stamp))
    if row.forced is not None and change.to_state != row.state:
        return Settled(cooled, is_move=False)  # an operator's word is above any evidence
    is_rest = change.from_state == change.to_state
    if row.state != change.from_state and (is_rest or change.to_state != "closed"):
        # Somebody has moved it meanwhile, which stands; the newer stamp lets the sender see it.
        return Settled(cooled, is_move=False)
    is_move = row.state != change.to_state
    after = replace(
        _row(change),
        since=change.at if is_move else row.since,
        cooldown_until=cooled.cooldown_until,
        cooldown_boot_s=cooled.cooldown_boot_s,
        stamp=cooled.stamp,
        forced=row.forced,
        counts_from=row.counts_from if row.boot_id == change.boot_id else 0,
    )
    return Settled(after, is_move)


def lost_probe(row: StoredBreaker, clock: Clock) -> BreakerChanged:
    """Return the move that ends a probe whose process is gone: open, with no new wait."""
    now, wall = clock.monotonic(), clock.wall()
    return BreakerChanged(
        subject=row.subject,
        at=wall,
        from_state=row.state,
        to_state="open",
        reason="the probe was lost with its process",
        request_id=None,
        until=wall,
        until_boot_s=now,
        cooldown_until=row.cooldown_until,
        cooldown_boot_s=row.cooldown_boot_s,
        boot_id=row.boot_id,
        failures=row.failures,
        wait_s=row.wait_s,
        stamp=max(row.stamp + 1, int(now * 1e6)),
    )


def _is_newer(row: StoredBreaker, change: BreakerChanged) -> bool:
    is_comparable = change.stamp and change.boot_id is not None and change.boot_id == row.boot_id
    return not is_comparable or change.stamp > row.stamp


def _cooled(row: StoredBreaker, change: BreakerChanged) -> StoredBreaker:
    """Lay a cool-down over the row's: the longer one holds, and only closing or a probe ends it."""
    asked, known = change.cooldown_boot_s, row.cooldown_boot_s
    if asked is None and change.to_state == "open":
        return row
    if asked is not None and known is not None and row.boot_id == change.boot_id and known > asked:
        return row
    return replace(row, cooldown_until=change.cooldown_until, cooldown_boot_s=asked)


def _row(change: BreakerChanged) -> StoredBreaker:
    return StoredBreaker(
        subject=change.subject,
        state=cast("State", change.to_state),
        since=change.at,
        until=change.until,
        until_boot_s=change.until_boot_s,
        cooldown_until=change.cooldown_until,
        cooldown_boot_s=change.cooldown_boot_s,
        boot_id=change.boot_id,
        reason=change.reason,
        failures=change.failures,
        wait_s=change.wait_s,
        stamp=change.stamp,
        forced=change.word if change.word in ("open", "closed") else None,
        counts_from=0 if change.word is None else change.stamp,
    )
