"""What one measurement found, as the load generator hands it on."""

import msgspec


class Result(msgspec.Struct, frozen=True):
    """Latencies are of requests that ended while it counted."""

    requests: int
    chunks: int
    seconds: float
    bad: int  # answers that were not whole or not right, and connections that broke
    first_ms: tuple[float, float]  # median and 99th percentile until the first byte of the body
    total_ms: tuple[float, float]
    classifiers: dict[str, int]
    cpu_s: float | None = None
    busiest_s: float | None = None  # of that, the one process that had the most of it
    memory_mb: float | None = None
    answered: int = 0  # in all, from the warm-up to the end


def median_and_p99(values: list[float]) -> tuple[float, float]:
    """Return both, 0 where nothing was measured."""
    if not values:
        return 0.0, 0.0
    ranked = sorted(values)
    return ranked[len(ranked) // 2], ranked[min(len(ranked) - 1, int(len(ranked) * 0.99))]
