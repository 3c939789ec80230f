import sys
from pathlib import Path

import pytest

from reliability import powercut, shims

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs LD_PRELOAD and pidfds"),
    pytest.mark.skipif(shims.compiler() is None, reason="there is no C compiler to build the shim"),
]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("count", "serving_s"), [(12, 0.4), pytest.param(80, 1.5, marks=pytest.mark.slow)]
)
async def test_a_power_cut_at_any_point_takes_nothing_that_was_promised(
    tmp_path: Path, count: int, serving_s: float
) -> None:
    """F91: a short run of `python -m reliability powercut`."""
    report = await powercut.run(
        tmp_path, count=count, seed=3, serving_s=serving_s, points_each=count // 4
    )
    assert not report.problems, str(report)
    assert report.facts["answers"]
