"""What the rounds of a scenario come to: medians, and ratios with their spread."""

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median

import msgspec

from benchmarks.result import Result
from benchmarks.rounds import Run
from benchmarks.scenarios import Scenario


class Spread(msgspec.Struct, frozen=True):
    """What medians over all rounds come to, and the lowest and highest within one round."""

    of_medians: float
    lowest: float
    highest: float


class Summary(msgspec.Struct, frozen=True):
    """One contestant over all rounds of a scenario. Latencies until the first byte of a body."""

    scenario: str
    contestant: str
    cpu_us: float | None  # per request or chunk, whatever the scenario counts
    ratio: Spread | None  # to whom the scenario compares with
    per_s: float
    p50_ms: float
    p99_ms: float
    added_p50_ms: Spread
    added_p99_ms: Spread
    memory_mb: float | None
    decided_by: dict[str, float]
    bad: int
    scaling: Spread | None = None  # how much more than one process it would carry on more cores


def summarise(scenario: Scenario, runs: Sequence[Run]) -> list[Summary]:
    """Return a summary for each contestant, in the order in which they ran."""
    results: dict[str, list[Result]] = {}
    for run in runs:
        results.setdefault(run.contestant, []).append(run.result)
    bases = {one.name: scenario.base(one).name for one in scenario.contestants}
    return [
        _summary(scenario, name, found, results[bases[name]]) for name, found in results.items()
    ]


def _summary(scenario: Scenario, name: str, results: list[Result], base: list[Result]) -> Summary:
    def units(result: Result) -> int:
        return result.chunks if scenario.unit == "chunk" else result.requests

    def cpu_us(result: Result) -> float | None:
        if result.cpu_s is None or not units(result):
            return None
        return result.cpu_s * 1e6 / units(result)

    def need_us(result: Result) -> float | None:
        """Return the time per unit with so many cores: that of the busiest process, at least."""
        if result.cpu_s is None or result.busiest_s is None or not units(result):
            return None
        return max(result.cpu_s / scenario.cores, result.busiest_s) * 1e6 / units(result)

    costs = [cpu_us(result) for result in results]
    decided = sum((Counter(result.classifiers) for result in results), Counter[str]())
    return Summary(
        scenario=scenario.name,
        contestant=name,
        cpu_us=_median(costs),
        ratio=_ratio(costs, [cpu_us(result) for result in base]),
        per_s=median(units(result) / result.seconds for result in results),
        p50_ms=median(result.first_ms[0] for result in results),
        p99_ms=median(result.first_ms[1] for result in results),
        added_p50_ms=_added(results, base, lambda result: result.first_ms[0]),
        added_p99_ms=_added(results, base, lambda result: result.first_ms[1]),
        memory_mb=_median([result.memory_mb for result in results]),
        decided_by={by: count / decided.total() for by, count in decided.most_common() if by},
        bad=sum(result.bad for result in results),
        scaling=_ratio(
            [cpu_us(result) for result in base], [need_us(result) for result in results]
        ),
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _ratio(ours: Sequence[float | None], theirs: Sequence[float | None]) -> Spread | None:
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b]
    if not pairs:
        return None
    in_rounds = [a / b for a, b in pairs]
    of_medians = median(a for a, _ in pairs) / median(b for _, b in pairs)
    return Spread(of_medians, min(in_rounds), max(in_rounds))


def _added(ours: list[Result], theirs: list[Result], of: Callable[[Result], float]) -> Spread:
    in_rounds = [of(a) - of(b) for a, b in zip(ours, theirs, strict=True)]
    return Spread(median(map(of, ours)) - median(map(of, theirs)), min(in_rounds), max(in_rounds))
