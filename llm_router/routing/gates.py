"""One gate: closed, open or half-open, and the cool-down beside it. No I/O, no clock of its own.

"Closed" is meant as in an electric circuit: current flows, requests pass.

Every admission has a number, and evidence is judged by the number of its admission, never by when
it arrives: a long stream that ends late can neither hide an outage nor prolong one. A gate keeps
one horizon, the number of its latest-admitted success or last closing; older evidence is dropped.
While the gate is open nothing counts, and while it is half-open only the probe does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from llm_router.clock import Clock

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


Report = Callable[["Gate", State, str | None, Word | None], None]


class Gate:
    """`until` is the end of the wait when open, of the probe's lease when half-open.

    While `forced`, evidence moves nothing; only the cool-downs that a provider asks for still hold.
    `report` is called after every change with the gate, the state before, the request that caused
    it, and an operator's word if that was it. `is_clear` is what the hot path reads: closed, and no
    cool-down. `stamp` grows with every change: microseconds of the boot clock, which all processes
    of a machine share; failures from before the stamp `counts_from` are forgotten everywhere.
    """

    __slots__ = (
        "_clock",
        "_limits",
        "_report",
        "cooldown_until",
        "counts_from",
        "failed",
        "forced",
        "horizon",
        "is_clear",
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
        self.probe = 0
        self.stamp = 0
        self.counts_from = int(clock.monotonic() * 1e6)
        self._limits = limits
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

    # Going in

    def enter(self, number: int, now: float, lease_s: float, request_id: str) -> bool:
        """Let an admission in that nothing holds back; True if it is the probe."""
        self.cooldown_until = 0.0
        if self.state == "closed":
            self.is_clear = True
            return False
        if self.state == "half_open":
            self._move("open", now, "the probe was lost", request_id)
        self.probe = number
        self._move("half_open", now + lease_s, "one probe after the wait", request_id)
        return True

    def step_back(self, number: int, stamp: int, reason: str | None) -> None:
        """Undo, without a report, the entry of a probe that nobody else has heard of."""
        if self.state == "half_open" and number == self.probe:
            self.state, self.until, self.probe = "open", self._clock.monotonic(), 0
            self.stamp, self.reason = stamp, reason

    def renew(self, number: int, lease_s: float) -> None:
        """Let the probe keep its lease for at least `lease_s` more: it has shown life."""
        if self._is_live_probe(number):
            self.until = max(self.until, self._clock.monotonic() + lease_s)
            self._changed("half_open", None)

    # Evidence

    def passed(self, number: int, request_id: str, *, has_ended: bool = True) -> None:
        """Take a success. Until it `has_ended`, the same admission may still fail afterwards."""
        horizon = number if has_ended else number - 1
        if self.state == "closed":
            if horizon > self.horizon:
                self.horizon = horizon
                if self.failed:
                    self.failed = [other for other in self.failed if other > horizon]
                    self._changed("closed", request_id)
        elif self._is_live_probe(number):
            self._close("the probe succeeded", horizon, request_id)
        else:
            self.neutral(number, request_id)

    def failed_with(
        self, number: int, reason: str, request_id: str, wait_s: float | None = None
    ) -> None:
        """Count a failure; `wait_s` replaces the wait of the limits if it opens the gate."""
        if self.state == "closed":
            if number <= self.horizon or self.forced is not None:
                return
            self.failed.append(number)
            if len(self.failed) < self._limits.failures:
                self._changed("closed", request_id)
                return
            if len(self.failed) > 1:
                reason = f"{len(self.failed)} failures in a row, the last: {reason}"
            self._open(reason, request_id, wait_s)
        elif self._is_live_probe(number):
            self._open(f"the probe failed: {reason}", request_id, wait_s)
        else:
            self.neutral(number, request_id)

    def neutral(self, number: int, request_id: str) -> None:
        """Take back a probe that says nothing (or came too late): open, with no new wait."""
        if self.state == "half_open" and number == self.probe:
            now = self._clock.monotonic()
            word = "was lost" if now >= self.until else "said nothing"
            self._move("open", now, f"the probe {word}", request_id)

    def cool(self, seconds: float, reason: str, request_id: str) -> None:
        """Rest without a failure. A shorter cool-down never shortens a longer one."""
        until = self._clock.monotonic() + seconds
        if until > self.cooldown_until:
            self.cooldown_until = until
            self.is_clear = False
            self.reason = reason
            self._changed(self.state, request_id)

    def warm(self, request_id: str) -> None:
        """End a cool-down: an answer has shown that it is over."""
        if self.cooldown_until:
            self.cooldown_until = 0.0
            self.is_clear = self.state == "closed"
            self._changed(self.state, request_id)

    def reset(self, latest: int, reason: str) -> None:
        """Close and forget everything; calls admitted up to `latest` can no longer speak.

        It is reported even if nothing is wrong here: another process may have counted failures.
        """
        if self.forced is not None:
            self.force(None, latest, reason)
        elif self.is_clear and not self.failed and not self.stamp:
            self.horizon = latest  # no process has ever had anything to say about it
        else:
            self.cooldown_until = 0.0
            self._close(reason, latest, None, "reset")
            self.counts_from = self.stamp

    def force(self, to: Forced | None, latest: int, reason: str) -> None:
        """Hold the gate open or closed until the next word; None lets it begin anew, closed."""
        self.forced = to
        self.horizon, self.failed, self.probe = latest, [], 0
        self.wait_s = self.cooldown_until = 0.0
        self._move(to or "closed", 0.0, reason, None, to or "off")
        self.counts_from = self.stamp

    def take(
        self,
        state: State,
        reason: str | None,
        since: float,
        wait_s: float,
        stamp: int,
        forced: Forced | None = None,
        counts_from: int = 0,
        *,
        wait_left_s: float,
        cooldown_left_s: float,
        latest: int = 0,
    ) -> None:
        """Take over, without a report, what another process made of this gate.

        If that moved it or was an operator's word, calls admitted here up to `latest` can no
        longer speak.
        """
        now = self._clock.monotonic()
        if state != self.state or counts_from > self.counts_from:
            self.horizon = latest
            self.failed = []
            self.counts_from = max(counts_from, self.counts_from)
        if stamp != self.stamp:
            self.probe = 0  # if there is one, it is another process's
        self.state = state
        self.forced = forced
        self.reason = reason
        self.since = since
        self.wait_s = wait_s
        self.stamp = stamp
        self.until = now + wait_left_s
        self.cooldown_until = now + cooldown_left_s if cooldown_left_s else 0.0
        self.is_clear = state == "closed" and not cooldown_left_s

    def remember(self, failures: int) -> None:
        """Count failures of an earlier process; a success of any admission of ours ends them."""
        self.failed = [0] * min(failures, self._limits.failures - 1)

    def lose_probe(self) -> None:
        """Open again where an earlier process was probing, which it no longer can."""
        if self.state == "half_open":
            now = self._clock.monotonic()
            self._move("open", now, "the probe was lost with its process", None)

    # Moving

    def _is_live_probe(self, number: int) -> bool:
        return (
            self.state == "half_open"
            and number == self.probe
            and self._clock.monotonic() < self.until
        )

    def _open(self, reason: str, request_id: str, wait_s: float | None) -> None:
        limits = self._limits
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
        self.is_clear = state == "closed" and self.cooldown_until == 0.0
        if before != state:
            self.since = self._clock.wall()
        self._changed(before, request_id, word)

    def _changed(self, before: State, request_id: str | None, word: Word | None = None) -> None:
        self.stamp = max(self.stamp + 1, int(self._clock.monotonic() * 1e6))
        self._report(self, before, request_id, word)
