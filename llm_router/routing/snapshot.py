"""A gate's state outside the gate: for people, for the journal, and back after a restart.

Deadlines live on the boot clock. Wall time stands beside them for people and for after a reboot,
when another boot clock runs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from llm_router.clock import Clock, utc_text
from llm_router.ledger.entry import BreakerChanged
from llm_router.routing.failures import FailureClass
from llm_router.routing.gate_state import Forced, GateState, State, Word

LONGEST_COOLDOWN_S = 3600.0
GATE = "gate:"  # begins the names of those that stand before all models


@dataclass(frozen=True, slots=True)
class BreakerView:
    """One gate for people; times are unix seconds. `until` ends the wait, or the probe's lease."""

    subject: str
    state: State
    since: float | None = None
    until: float | None = None
    reason: str | None = None
    cooldown_until: float | None = None
    failures: int = 0
    forced: Forced | None = None

    @property
    def is_gate(self) -> bool:
        return self.subject.startswith(GATE)

    @property
    def is_clear(self) -> bool:
        is_closed = self.state == "closed" and self.forced is None
        return is_closed and self.cooldown_until is None and not self.failures

    @property
    def is_gone(self) -> bool:
        """The model rests because upstream has said that there is no such model."""
        reason = self.reason or ""
        return self.cooldown_until is not None and reason.startswith(FailureClass.MODEL_GONE.value)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON, times as UTC text; the name is `gate` or `model`."""
        return {
            "gate" if self.is_gate else "model": self.subject,
            "state": self.state,
            "since": _text(self.since),
            "until": _text(self.until),
            "reason": self.reason,
            "cooldown_until": _text(self.cooldown_until),
            "failures": self.failures,
            "forced": self.forced,
        }


@dataclass(frozen=True, slots=True)
class StoredBreaker:
    """One row of the table `breakers`, times as unix seconds."""

    subject: str
    state: State
    since: float
    until: float | None
    until_boot_s: float | None
    cooldown_until: float | None
    cooldown_boot_s: float | None
    boot_id: str | None
    reason: str | None
    failures: int
    wait_s: float | None
    stamp: int = 0
    forced: Forced | None = None
    counts_from: int = 0  # the stamp of an operator's latest word


def listed(views: Iterable[BreakerView]) -> dict[str, list[dict[str, Any]]]:
    """Return models and gates for JSON, apart from each other, in the order in which they come."""
    shown: dict[str, list[dict[str, Any]]] = {"breakers": [], "gates": []}
    for view in views:
        shown["gates" if view.is_gate else "breakers"].append(view.as_dict())
    return shown


def view_of(gate: GateState, now: float, wall: float) -> BreakerView:
    cooling_s = gate.cooldown_left_s(now)
    return BreakerView(
        subject=gate.subject,
        state=gate.state_at(now),
        since=gate.since,
        until=None if gate.state == "closed" or gate.forced else wall + gate.until - now,
        reason=gate.reason,
        cooldown_until=wall + cooling_s if cooling_s else None,
        failures=len(gate.failed),
        forced=gate.forced,
    )


def view_of_row(row: StoredBreaker, wall: float) -> BreakerView:
    """Return what a row says at a moment of wall time: leases and cool-downs run out by then."""
    is_lost = row.state == "half_open" and row.until is not None and row.until <= wall
    is_cooling = row.cooldown_until is not None and row.cooldown_until > wall
    return BreakerView(
        subject=row.subject,
        state="open" if is_lost else row.state,
        since=row.since,
        until=row.until,
        reason=row.reason,
        cooldown_until=row.cooldown_until if is_cooling else None,
        failures=row.failures,
        forced=row.forced,
    )


def change_of(
    gate: GateState,
    before: State,
    request_id: str | None,
    clock: Clock,
    boot_id: str | None,
    word: Word | None = None,
) -> BreakerChanged:
    """Return the whole state of a gate that has just changed, for the journal."""
    wall = clock.wall()
    view = view_of(gate, clock.monotonic(), wall)
    return BreakerChanged(
        subject=gate.subject,
        at=wall,
        from_state=before,
        to_state=gate.state,
        reason=gate.reason or "",
        request_id=request_id,
        until=view.until,
        until_boot_s=None if view.until is None else gate.until,
        cooldown_until=view.cooldown_until,
        cooldown_boot_s=None if view.cooldown_until is None else gate.cooldown_until,
        boot_id=boot_id,
        failures=len(gate.failed),
        wait_s=gate.wait_s,
        stamp=gate.stamp,
        word=word,
    )


def time_left(
    row: StoredBreaker, longest_wait_s: float, clock: Clock, boot_id: str | None
) -> tuple[float, float]:
    """Return the seconds that are left of a stored wait and of its cool-down.

    Exact within one boot. After a reboot wall time has to do, which may have jumped meanwhile:
    a wait is never longer than it can have been.
    """
    now, wall = clock.monotonic(), clock.wall()
    is_same_boot = boot_id is not None and row.boot_id == boot_id

    def left(boot_s: float | None, unix_s: float | None, longest_s: float) -> float:
        if is_same_boot and boot_s is not None:
            return max(0.0, boot_s - now)
        return min(max(0.0, unix_s - wall), longest_s) if unix_s is not None else 0.0

    return (
        left(row.until_boot_s, row.until, longest_wait_s),
        left(row.cooldown_boot_s, row.cooldown_until, LONGEST_COOLDOWN_S),
    )


def _text(unix_s: float | None) -> str | None:
    return None if unix_s is None else utc_text(unix_s)
