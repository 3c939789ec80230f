"""What moves one gate: an admission, the evidence of calls, an operator's word.

Every admission has a number, and evidence is judged by the number of its admission, never by when
it arrives: a long stream that ends late can neither hide an outage nor prolong one. A gate keeps
one horizon, the number of its latest-admitted success or last closing; older evidence is dropped.
While the gate is open nothing counts, and while it is half-open only the probe does.
"""

from llm_router.routing.gate_state import Forced, GateState


class Gate(GateState):
    """One gate by its rules; `GateState` says what its attributes mean."""

    __slots__ = ()

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
            if len(self.failed) < self.limits.failures:
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
            self.reason = reason
            self._changed(self.state, request_id)

    def warm(self, request_id: str) -> None:
        """End a cool-down: an answer has shown that it is over."""
        if self.cooldown_until:
            self.cooldown_until = 0.0
            self._changed(self.state, request_id)

    # Operators

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
