"""A small breaker for one classifier step, so that a dead service costs a few requests at most."""

from llm_router.clock import Clock

FAILURES = 3
REST_S = 30.0


class Guard:
    """Three failures in a row rest the step for half a minute; then one request at a time tries.

    Every `admits()` that was True is followed by exactly one of `succeeded`, `failed`, `released`.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._rests_until: float | None = None
        self._probes = 0

    @property
    def is_resting(self) -> bool:
        return self._rests_until is not None

    def admits(self) -> bool:
        if self._rests_until is None:
            return True
        if self._probes or self._clock.monotonic() < self._rests_until:
            return False
        self._probes = 1
        return True

    def succeeded(self) -> None:
        self._failures = self._probes = 0
        self._rests_until = None

    def failed(self) -> None:
        self._failures += 1
        self._probes = 0
        if self._failures >= FAILURES:
            self._rests_until = self._clock.monotonic() + REST_S

    def released(self) -> None:
        """Neither: the client left, or the step had a reason that is nobody's fault."""
        self._probes = 0
