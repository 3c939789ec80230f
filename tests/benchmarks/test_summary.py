"""What rounds come to."""

import msgspec
import pytest
from msgspec.structs import replace

from benchmarks.result import Result
from benchmarks.rounds import Run
from benchmarks.scenarios import SCENARIOS
from benchmarks.summary import summarise

PLAIN = SCENARIOS[0]


def run(contestant: str, number: int, cpu_s: float | None, first_ms: float) -> Run:
    result = Result(
        requests=1000,
        chunks=0,
        seconds=2.0,
        bad=0,
        first_ms=(first_ms, 2 * first_ms),
        total_ms=(first_ms, 2 * first_ms),
        classifiers={},
        cpu_s=cpu_s,
    )
    return Run(PLAIN.name, contestant, number, result)


def test_medians_are_compared_and_rounds_show_the_spread() -> None:
    floor = [run("pass-through", n, cpu_s, 1.0) for n, cpu_s in enumerate((0.1, 0.2, 0.3))]
    router = [run("keywords", n, cpu_s, 1.5) for n, cpu_s in enumerate((0.3, 0.3, 0.3))]
    _, summary = summarise(PLAIN, [*floor, *router])
    assert summary.cpu_us == pytest.approx(300)
    assert summary.per_s == 500
    assert summary.ratio is not None
    assert msgspec.structs.astuple(summary.ratio) == pytest.approx((1.5, 1.0, 3.0))
    assert msgspec.structs.astuple(summary.added_p99_ms) == pytest.approx((1.0, 1.0, 1.0))


def test_more_cores_help_as_much_as_the_busiest_process_lets_them() -> None:
    [workers] = [scenario for scenario in SCENARIOS if scenario.cores > 1]
    alone = [run("keywords", 1, 0.3, 1.0)]
    even, uneven = (
        replace(run("2 workers", 1, 0.4, 1.0).result, busiest_s=busiest) for busiest in (0.15, 0.3)
    )
    for result, scaling in ((even, 1.5), (uneven, 1.0)):
        crew = Run(workers.name, "2 workers", 1, result)
        _, summary = summarise(workers, [*alone, crew])
        assert summary.scaling is not None
        assert summary.scaling.of_medians == pytest.approx(scaling)


def test_without_proc_there_is_no_ratio() -> None:
    _, summary = summarise(PLAIN, [run("pass-through", 1, None, 1), run("keywords", 1, None, 1)])
    assert summary.cpu_us is None
    assert summary.ratio is None


def test_who_is_behind_tls_is_compared_with_whoever_is_too() -> None:
    [tls] = [scenario for scenario in SCENARIOS if scenario.name == "tls"]
    costs = {"pass-through": 0.1, "pass-through, TLS": 0.2, "keywords": 0.3, "keywords, TLS": 0.4}
    summaries = summarise(tls, [run(name, 1, cpu_s, 1.0) for name, cpu_s in costs.items()])
    ratios = {one.contestant: one.ratio.of_medians for one in summaries if one.ratio}
    assert ratios == pytest.approx(dict(zip(costs, (1, 1, 3, 2), strict=True)))
