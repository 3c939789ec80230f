"""The metrics in Prometheus' text formats: every scrape builds a registry of its own."""

from collections.abc import Iterable
from typing import get_args

from prometheus_client import CollectorRegistry, exposition
from prometheus_client.openmetrics import exposition as openmetrics

from llm_router.classify.base import By
from llm_router.routing.config import DIRECT, RoutingConfig
from llm_router.routing.failures import FailureClass
from llm_router.storage.counters import Counters, Labels
from llm_router.web.ledger_metrics import LedgerMetrics
from llm_router.web.process_metrics import ProcessMetrics, State

__all__ = ["State", "labels", "render"]

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def labels(config: RoutingConfig, classifiers: Iterable[str]) -> Labels:
    """Return every label value the configuration and the program know.

    `classifiers` are the models that classify, which no chain need name.
    """
    return Labels(
        categories=(*config.categories, DIRECT),
        models=tuple(sorted(config.model_ids(*classifiers))),
        classifiers=get_args(By),
        error_classes=(*(kind.value for kind in FailureClass), "process_died"),
    )


def render(
    counters: Counters | None, labels: Labels, state: State, *, is_openmetrics: bool
) -> tuple[bytes, str]:
    """Return a body and its Content-Type; `counters` is None if the database never answered."""
    registry = CollectorRegistry()
    if counters is not None:
        registry.register(LedgerMetrics(counters, labels))
    registry.register(ProcessMetrics(state))
    if is_openmetrics:
        # prometheus_client leaves this one function untyped.
        return openmetrics.generate_latest(registry), OPENMETRICS  # type: ignore[no-untyped-call]
    return exposition.generate_latest(registry), TEXT
