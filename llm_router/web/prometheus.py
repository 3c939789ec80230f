"""The ledger's counters in Prometheus' text format.

Every scrape builds its own registry from what the database says, so all workers give the same
totals. What is in flight and in the journals' backlogs, workers tell each other twice a second.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import get_args

from prometheus_client import CollectorRegistry, exposition
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from llm_router import __version__
from llm_router.classify.base import By
from llm_router.load import Load
from llm_router.routing.config import DIRECT, RoutingConfig
from llm_router.routing.failures import FailureClass
from llm_router.storage.counters import Counters, Labels

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_STATES = {"closed": 0, "half_open": 1, "open": 2}
_GATES = ("account", "transport", "rate")
_INFINITE_MS = 2**63 - 1
_HISTOGRAMS = {
    "time_to_first_chunk": (
        "llm_router_time_to_first_chunk_seconds",
        "From a request to its first chunk.",
    ),
    "total": ("llm_router_request_duration_seconds", "From a request to the end of its answer."),
    "overhead": ("llm_router_overhead_seconds", "What the router itself added to a request."),
}


@dataclass(frozen=True, slots=True)
class State:
    """What no row says: the work in hand, over all workers, and how well rows can be written.

    `list_age_s` is the age of the model list, whose prices are in force; None where there is none.
    """

    load: Load
    is_stale: bool
    is_database_failing: bool = False
    is_journal_failing: bool = False
    journal_bytes: int = 0
    wal_bytes: int = 0
    list_age_s: float | None = None


def labels(config: RoutingConfig) -> Labels:
    """Return every label value the configuration and the program know."""
    return Labels(
        categories=(*config.categories, DIRECT),
        models=tuple(sorted(config.model_ids())),
        classifiers=get_args(By),
        error_classes=(*(kind.value for kind in FailureClass), "process_died"),
    )


def render(
    counters: Counters | None, labels: Labels, state: State, *, is_openmetrics: bool
) -> tuple[bytes, str]:
    """Return a body and its Content-Type; None where the database has never said a number."""
    registry = CollectorRegistry()
    if counters is not None:
        registry.register(_Ledger(counters, labels))
    registry.register(_Process(state))
    if is_openmetrics:
        # prometheus_client leaves this one function untyped.
        return openmetrics.generate_latest(registry), OPENMETRICS  # type: ignore[no-untyped-call]
    return exposition.generate_latest(registry), TEXT


class _Ledger(Collector):
    def __init__(self, counters: Counters, labels: Labels) -> None:
        self._counters = counters
        self._labels = labels

    def collect(self) -> Iterator[Metric]:
        yield from self._requests()
        yield from self._attempts()
        yield from self._latencies()
        yield from self._gates()
        yield from self._transitions()

    def _requests(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "llm_router_requests",
            "Chat requests that have ended.",
            labels=("category", "outcome", "classifier"),
        )
        for row in self._counters.requests:
            requests.add_metric(
                (row["category"], row["outcome"], row["classifier"]), row["requests"]
            )
        yield requests
        yield GaugeMetricFamily(
            "llm_router_cost_unknown_requests",
            "Ended requests whose cost is not known, or not yet.",
            value=self._counters.cost_unknown,
        )

    def _attempts(self) -> Iterator[Metric]:
        attempts = CounterMetricFamily(
            "llm_router_attempts",
            "Calls to the provider that have ended, classifier calls included.",
            labels=("model", "kind", "outcome", "error_class"),
        )
        tokens: Counter[tuple[str, str]] = Counter()
        nanousd: Counter[str] = Counter()
        for row in self._counters.attempts:
            attempts.add_metric(
                (row["model"], row["kind"], row["outcome"], row["error_class"]), row["attempts"]
            )
            nanousd[row["model"]] += row["cost_nanousd"]
            for kind in ("prompt", "completion", "cached", "reasoning"):
                tokens[row["model"], kind] += row[kind]
        yield attempts
        yield _family(
            "llm_router_tokens",
            "Tokens; cached ones are among prompt, reasoning ones among completion.",
            ("model", "type"),
            tokens,
        )
        cost = CounterMetricFamily(
            "llm_router_cost_usd",
            "What calls cost, each taken once it is known.",
            labels=("model",),
        )
        for model, value in nanousd.items():
            cost.add_metric((model,), value / 1e9)
        yield cost

    def _latencies(self) -> Iterator[Metric]:
        series = {
            key: list(rows)
            for key, rows in groupby(
                self._counters.latencies, key=lambda row: (row["measure"], row["category"])
            )
        }
        for measure, (name, text) in _HISTOGRAMS.items():
            histogram = HistogramMetricFamily(name, text, labels=("category",))
            for (of, category), rows in series.items():
                if of == measure:
                    buckets = [(_le(row["le_ms"]), row["observations"]) for row in rows]
                    histogram.add_metric((category,), buckets, rows[0]["sum_ms"] / 1000)
            yield histogram

    def _gates(self) -> Iterator[Metric]:
        def state(subject: str) -> int:
            return _STATES[self._counters.breakers.get(subject, "closed")]

        models = GaugeMetricFamily(
            "llm_router_breaker_state",
            "A model's breaker: 0 closed, 1 half open, 2 open.",
            labels=("model",),
        )
        for model in self._labels.models:
            models.add_metric((model,), state(model))
        yield models
        gates = GaugeMetricFamily(
            "llm_router_gate_state",
            "What shuts out every model: 0 closed (calls pass), 1 half open, 2 open.",
            labels=("gate",),
        )
        for gate in _GATES:
            gates.add_metric((gate,), state("gate:" + gate))
        yield gates

    def _transitions(self) -> Iterator[Metric]:
        models, gates = (
            CounterMetricFamily(f"llm_router_{kind}_transitions", text, labels=(of, "from", "to"))
            for kind, of, text in (
                ("breaker", "model", "How often a model's breaker went from one state to another."),
                ("gate", "gate", "How often what shuts out every model went from state to state."),
            )
        )
        for row in self._counters.transitions:
            is_gate = row["subject"].startswith("gate:")
            states = (row["from_state"], row["to_state"])
            (gates if is_gate else models).add_metric(
                (row["subject"].removeprefix("gate:"), *states), row["transitions"]
            )
        yield models
        yield gates


class _Process(Collector):
    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        load = self._state.load
        yield GaugeMetricFamily(
            "llm_router_in_flight_requests",
            "Chat requests that are being answered, by all workers together.",
            value=load.in_flight,
        )
        yield GaugeMetricFamily(
            "llm_router_journal_backlog_bytes",
            "Ledger entries that the disk has not taken yet.",
            value=load.journal_backlog_bytes,
        )
        yield CounterMetricFamily(
            "llm_router_journal_dropped_frames",
            "Ledger entries that were lost because a process's backlog was full.",
            value=load.journal_dropped,
        )
        yield CounterMetricFamily(
            "llm_router_loop_blocks",
            "How often an event loop stood still for a second or longer; the log says where.",
            value=load.loop_blocks,
        )
        if self._state.list_age_s is not None:
            yield GaugeMetricFamily(
                "llm_router_model_list_age_seconds",
                "Since when the model list and its prices have not been read again.",
                value=self._state.list_age_s,
            )
        yield from self._storage()
        version = ".".join(map(str, sys.version_info[:3]))
        yield InfoMetricFamily(
            "llm_router_build",
            "Which program this is.",
            value={"version": __version__, "python": version},
        )

    def _storage(self) -> Iterator[Metric]:
        state = self._state
        gauges = {
            "llm_router_journal_bytes": (
                "What lies in journal files: what waits for the database, and up to 16 MiB a "
                "process that do not.",
                state.journal_bytes,
            ),
            "llm_router_journal_failing": (
                "1 while this process's disk does not take, or not confirm, journal entries.",
                state.is_journal_failing,
            ),
            "llm_router_database_failing": (
                "1 while the database takes no rows.",
                state.is_database_failing,
            ),
            "llm_router_database_wal_bytes": (
                "Size of the database's -wal file; it grows while somebody reads for long.",
                state.wal_bytes,
            ),
            "llm_router_metrics_stale": (
                "1 while the database cannot answer and its last numbers are repeated.",
                state.is_stale,
            ),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(name, text, value=value)


def _family(
    name: str, text: str, labels: tuple[str, ...], values: Counter[tuple[str, str]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for label_values, value in values.items():
        family.add_metric(label_values, value)
    return family


def _le(le_ms: int) -> str:
    return "+Inf" if le_ms == _INFINITE_MS else str(le_ms / 1000)
