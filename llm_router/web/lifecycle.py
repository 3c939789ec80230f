"""Where the process is in its life, for health checks and for whoever drains it."""

from llm_router.clock import Clock


class Lifecycle:
    """Begins now. Once draining, a process never serves again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self.is_draining = False

    @property
    def uptime_s(self) -> float:
        return self._clock.monotonic() - self._began
