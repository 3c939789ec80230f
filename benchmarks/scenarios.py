"""What is measured: the load, and who has to carry it."""

from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.entrants import (
    ALONE,
    DIRECT,
    FLOOR,
    KEYWORDS,
    LITELLM,
    LOCAL,
    MODES,
    NGINX,
    WORKERS,
    Entrant,
    behind_tls,
    without_ledger,
)
from benchmarks.prompts import Shape

# A stream lasts this much longer than its gaps: it is written, carried and read.
_SLACK_S = 0.2
# With its first requests LiteLLM imports what it needs for them.
_LITELLM_WARM_S = 4.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """`against` is whom the others are compared with, before an upstream like their own.

    With more than one of `cores`, it is asked how much more they would carry with that many to
    themselves.
    """

    name: str
    title: str
    shape: Shape
    conns: int
    contestants: tuple[Entrant, ...]
    unit: Literal["request", "chunk"] = "request"
    against: Entrant = FLOOR
    cores: int = 1

    @property
    def needs_litellm(self) -> bool:
        return LITELLM in self.contestants

    def base(self, entrant: Entrant) -> Entrant:
        return replace(self.against, is_tls=entrant.is_tls)

    def warm_s(self, seconds: float) -> float:
        """Return how long to wait before counting: streams begin one by one, over the first."""
        stream_s = self.shape.chunks * self.shape.gap_ms / 1000 if self.shape.is_stream else 0
        if self.needs_litellm:
            return _LITELLM_WARM_S
        return min(1.0, seconds / 2) if self.conns == 1 else max(stream_s + _SLACK_S, seconds / 4)


_PROXIES = (FLOOR, KEYWORDS, LOCAL, NGINX)
_WITH_TLS = (FLOOR, KEYWORDS, NGINX)
_TLS_ON_AND_OFF = (*_WITH_TLS, *map(behind_tls, _WITH_TLS))
_LEDGER_ON_AND_OFF = tuple(one for mode in MODES for one in (mode, without_ledger(mode)))
_WITH_LITELLM = (FLOOR, KEYWORDS, LITELLM)
_PLAIN, _LONG = Shape(), Shape(body_kb=200)
_STREAM = Shape(is_stream=True, chunks=100, gap_ms=20)

SCENARIOS = (
    Scenario(
        "plain",
        "Plain answers of 1 KB, 32 connections",
        _PLAIN,
        32,
        _PROXIES,
    ),
    Scenario(
        "stream",
        "10,000 chunks a second: 200 streams, 100 chunks each, 20 ms apart",
        _STREAM,
        200,
        _PROXIES,
        unit="chunk",
    ),
    Scenario(
        "long",
        "Conversations of 200 KB, 8 connections",
        _LONG,
        8,
        _PROXIES,
    ),
    Scenario(
        "first",
        "Time to the first chunk of a stream, 1 connection",
        Shape(is_stream=True, chunks=2, gap_ms=1),
        1,
        (DIRECT, *_PROXIES),
        against=DIRECT,
    ),
    Scenario(
        "first-200",
        "Time to the first chunk of a stream, 200 connections, 2,000 chunks a second",
        Shape(is_stream=True, chunks=10, gap_ms=100),
        200,
        (DIRECT, *_PROXIES),
        against=DIRECT,
    ),
    Scenario(
        "tls",
        "Plain answers of 1 KB, 32 connections, upstream without and with TLS",
        _PLAIN,
        32,
        _TLS_ON_AND_OFF,
    ),
    Scenario(
        "tls-stream",
        "10,000 chunks a second, upstream without and with TLS",
        _STREAM,
        200,
        _TLS_ON_AND_OFF,
        unit="chunk",
    ),
    Scenario(
        "workers",
        "Two workers against one process, plain answers of 1 KB, 64 connections",
        _PLAIN,
        64,
        (ALONE, WORKERS),
        against=ALONE,
        cores=2,
    ),
    Scenario(
        "modes",
        "Ways to classify, one prompt in five doubtful, 4 connections, with and without ledger",
        Shape(prompts="mixed"),
        4,
        (FLOOR, *_LEDGER_ON_AND_OFF),
    ),
    Scenario(
        "litellm",
        "LiteLLM's proxy: plain answers of 1 KB, 4 connections",
        _PLAIN,
        4,
        _WITH_LITELLM,
    ),
    Scenario(
        "litellm-stream",
        "LiteLLM's proxy: 500 chunks a second, 10 streams, 100 chunks each, 20 ms apart",
        _STREAM,
        10,
        _WITH_LITELLM,
        unit="chunk",
    ),
    Scenario(
        "litellm-long",
        "LiteLLM's proxy: conversations of 200 KB, 2 connections",
        _LONG,
        2,
        _WITH_LITELLM,
    ),
)
