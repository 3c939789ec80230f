"""Where the process is in its life, for health checks and for whoever drains it."""

from dataclasses import dataclass


@dataclass(slots=True)
class Lifecycle:
    """`started_at` is in unix seconds. Once draining, a process never serves again."""

    started_at: float
    is_draining: bool = False
