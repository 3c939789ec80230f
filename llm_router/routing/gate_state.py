"""What a gate is now, how it moves, and how it takes up what another process made of it.

Every change is stamped and reported; what leads to one is `gate`'s. No I/O, no clock of its own.
"Closed" is meant as in an electric circuit: current flows, requests pass.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from llm_router.clock import Clock

if TYPE_CHECKING:
    from llm_router.routing.snapshot import StoredBreaker

State = Literal["closed", "open", "half_open"]
Forced = Literal["open", "closed"]
Force = Literal["open", "closed", "off"]
Word = Force | Literal["reset"]  # what an operator may say

# While a probe is under way its result may come at any moment, long before its lease ends.
PROBE_HINT_S = 5.0
# Nobody knows for how long an operator will hold a gate open.
FORCED_HINT_S = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """`failures` in a row open the gate; the wait doubles from `first_wait_s` until it closes."""

    failures: int
    first_wait_s: float
    longest_wait_s: float


Report = Callable[["GateState", State, str | None, Word | None], None]


class GateState:
    """The state of one gate, for its rules to move.

    `until` is the end of the wait when open, of the probe's lease when half-open.

    While `forced`, evidence moves nothing; only the cool-downs that a provider asks for still hold.
    `report` is called after every change with the gate, the state before, the request that caused
    it, and an operator's word if that was it. `is_clear` is what the hot path reads: closed, and no
    cool-down. `stamp` grows with every change: microseconds of the boot clock, which all processes
    of a machine share; failures from before the stamp `counts_from` are forgotten everywhere.
    """

    __slots__ = (
        "_clock",
        "_report",
        "cooldown_until",
        "counts_from",
        "failed",
        "forced",
        "horizon",
        "is_clear",
        "limits",
        "probe",
        "reason",
        "since",
        "stamp",
        "state",
        "subject",
        "until",
        "wait_s",
    )

    def __init__(self, subject: str, limits: Limits, clock: Clock, report: Report) -> None:
        self.subject = subject
        self.state: State = "closed"
        self.forced: Forced | None = None
        self.is_clear = True
        self.since = clock.wall()
        self.reason: str | None = None
        self.until = 0.0
        self.wait_s = 0.0
        self.cooldown_until = 0.0
        self.failed: list[int] = []  # admissions after the horizon that failed
        self.horizon = 0
        self.probe = 0  # the number of the probe that is under way here
        self.stamp = 0
        self.counts_from = int(clock.monotonic() * 1e6)
        self.limits = limits
        self._clock = clock
        self._report = report

    # Asking

    def wait_left_s(self, now: float) -> float:
        """Return 0 for "come in" (as the probe, unless closed), else seconds to wait."""
        if self.forced == "open":
            return FORCED_HINT_S
        if self.state == "closed" or now >= self.until:
            return 0.0
        left = self.until - now
        return min(left, PROBE_HINT_S) if self.state == "half_open" else left

    def cooldown_left_s(self, now: float) -> float:
        return max(0.0, self.cooldown_until - now)

    def state_at(self, now: float) -> State:
        """Return the state as it is: half-open never outlives the lease of its probe."""
        if self.state == "half_open" and now >= self.until:
            return "open"
        return self.state

    # Moving

    def _is_live_probe(self, number: int) -> bool:
        return (
            self.state == "half_open"
            and number == self.probe
            and self._clock.monotonic() < self.until
        )

    def _open(self, reason: str, request_id: str, wait_s: float | None) -> None:
        limits = self.limits
        if wait_s is None:
            wait_s = min(max(limits.first_wait_s, 2 * self.wait_s), limits.longest_wait_s)
        self.wait_s = wait_s
        self._move("open", self._clock.monotonic() + wait_s, reason, request_id)

    def _close(
        self, reason: str, horizon: int, request_id: str | None, word: Word | None = None
    ) -> None:
        self.horizon = horizon
        self.failed = []
        self.wait_s = 0.0
        self._move("closed", 0.0, reason, request_id, word)

    def _move(
        self,
        state: State,
        until: float,
        reason: str,
        request_id: str | None,
        word: Word | None = None,
    ) -> None:
        before, self.state = self.state, state
        self.until = until
        self.reason = reason
        if before != state:
            self.since = self._clock.wall()
        self._changed(before, request_id, word)

    def _changed(self, before: State, request_id: str | None, word: Word | None = None) -> None:
        self.is_clear = self.state == "closed" and self.cooldown_until == 0.0
        self.stamp = max(self.stamp + 1, int(self._clock.monotonic() * 1e6))
        self._report(self, before, request_id, word)

    # Taking over

    def take(
        self, row: "StoredBreaker", *, wait_left_s: float, cooldown_left_s: float, latest: int = 0
    ) -> None:
        """Take over, without a report, what another process made of this gate.

        If that moved it or was an operator's word, calls admitted here up to `latest` can no
        longer speak.
        """
        now = self._clock.monotonic()
        if row.state != self.state or row.counts_from > self.counts_from:
            self.horizon = latest
            self.failed = []
            self.counts_from = max(row.counts_from, self.counts_from)
        if row.stamp != self.stamp:
            self.probe = 0  # if there is one, it is another process's
        self.state = row.state
        self.forced = row.forced
        self.reason = row.reason
        self.since = row.since
        self.wait_s = row.wait_s or 0.0
        self.stamp = row.stamp
        self.until = now + wait_left_s
        self.cooldown_until = now + cooldown_left_s if cooldown_left_s else 0.0
        self.is_clear = self.state == "closed" and not cooldown_left_s

    def remember(self, failures: int) -> None:
        """Count failures of an earlier process; a success of any admission of ours ends them."""
        self.failed = [0] * min(failures, self.limits.failures - 1)

    def lose_probe(self) -> None:
        """Open again where an earlier process was probing, which it no longer can."""
        if self.state == "half_open":
            now = self._clock.monotonic()
            self._move("open", now, "the probe was lost with its process", None)

    def step_back(self, number: int, stamp: int, reason: str | None) -> None:
        """Undo, without a report, the entry of a probe that nobody else has heard of."""
        if self.state == "half_open" and number == self.probe:
            self.state, self.until, self.probe = "open", self._clock.monotonic(), 0
            self.stamp, self.reason = stamp, reason
