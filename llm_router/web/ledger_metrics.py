"""What the database counts, as Prometheus' families: calls, tokens, cost, latencies, breakers.

All workers read the same rows, so all of them give the same totals.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from llm_router.routing.snapshot import GATE
from llm_router.storage.counters import Counters, Labels

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


class LedgerMetrics(Collector):
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
            gates.add_metric((gate,), state(GATE + gate))
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
            is_gate = row["subject"].startswith(GATE)
            states = (row["from_state"], row["to_state"])
            (gates if is_gate else models).add_metric(
                (row["subject"].removeprefix(GATE), *states), row["transitions"]
            )
        yield models
        yield gates


def _family(
    name: str, text: str, labels: tuple[str, ...], values: Counter[tuple[str, str]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for label_values, value in values.items():
        family.add_metric(label_values, value)
    return family


def _le(le_ms: int) -> str:
    return "+Inf" if le_ms == _INFINITE_MS else str(le_ms / 1000)
