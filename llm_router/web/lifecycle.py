"""Where the process is in its life, for health checks and for whoever drains it."""

from dataclasses import dataclass

from llm_router.clock import Clock


@dataclass(frozen=True, slots=True)
class Crew:
    """How many workers there should be, and how many serve."""

    wanted: int
    serving: int


class Lifecycle:
    """Begins now. Once draining, a process never serves again.

    `crew` is None where one process does everything.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self.is_draining = False
        self.crew: Crew | None = None

    @property
    def uptime_s(self) -> float:
        return self._clock.monotonic() - self._began
