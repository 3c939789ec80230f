"""What is measured: the load, and who has to carry it."""

from dataclasses import dataclass
from typing import Literal

from benchmarks.contestants import ALONE, FLOOR, MODES, WORKERS, Name
from benchmarks.prompts import Shape

# A stream lasts this much longer than its gaps: it is written, carried and read.
_SLACK_S = 0.2


@dataclass(frozen=True, slots=True)
class Scenario:
    """`against` is whom the others are compared with.

    With more than one of `cores`, it is asked how much more they would carry with that many to
    themselves.
    """

    name: str
    title: str
    shape: Shape
    conns: int
    contestants: tuple[Name, ...]
    unit: Literal["request", "chunk"] = "request"
    against: Name = FLOOR
    cores: int = 1

    def warm_s(self, seconds: float) -> float:
        """Return how long to wait before counting: streams begin one by one, over the first."""
        stream_s = self.shape.chunks * self.shape.gap_ms / 1000 if self.shape.is_stream else 0
        return min(1.0, seconds / 2) if self.conns == 1 else max(stream_s + _SLACK_S, seconds / 4)


SCENARIOS = (
    Scenario(
        "plain",
        "Plain answers of 1 KB, 32 connections",
        Shape(),
        32,
        (FLOOR, "keywords", "local", "nginx"),
    ),
    Scenario(
        "stream",
        "10,000 chunks a second: 200 streams, 100 chunks each, 20 ms apart",
        Shape(is_stream=True, chunks=100, gap_ms=20),
        200,
        (FLOOR, "keywords", "local", "nginx"),
        unit="chunk",
    ),
    Scenario(
        "long",
        "Conversations of 200 KB, 8 connections",
        Shape(body_kb=200),
        8,
        (FLOOR, "keywords", "local", "nginx"),
    ),
    Scenario(
        "first",
        "Time to the first chunk of a stream, 1 connection",
        Shape(is_stream=True, chunks=2, gap_ms=1),
        1,
        ("direct", FLOOR, "keywords", "local", "nginx"),
        against="direct",
    ),
    Scenario(
        "workers",
        "Two workers against one process, plain answers of 1 KB, 64 connections",
        Shape(),
        64,
        (ALONE, WORKERS),
        against=ALONE,
        cores=2,
    ),
    Scenario(
        "modes",
        "Ways to classify, one prompt in five doubtful, 4 connections",
        Shape(prompts="mixed"),
        4,
        (FLOOR, *MODES),
    ),
)
NAMES = tuple(scenario.name for scenario in SCENARIOS)
