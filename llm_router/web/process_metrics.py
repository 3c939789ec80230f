"""What no row says, as Prometheus' families: the work in hand, and how well rows can be written."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from llm_router import __version__
from llm_router.load import Load


@dataclass(frozen=True, slots=True)
class State:
    """`load` is that of all workers, which tell each other twice a second.

    `list_age_s` is the age of the model list, whose prices are in force; None where there is none.
    """

    load: Load
    is_stale: bool
    is_database_failing: bool = False
    is_journal_failing: bool = False
    journal_bytes: int = 0
    wal_bytes: int = 0
    list_age_s: float | None = None


class ProcessMetrics(Collector):
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
                "Since the model list and its prices were last read.",
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
