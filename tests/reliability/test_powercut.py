import sys
from pathlib import Path

import pytest

from reliability import powercut, shims

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs LD_PRELOAD and pidfds"),
    pytest.mark.skipif(shims.compiler() is None, reason="there is no C compiler to build the shim"),
]


async def test_a_power_cut_at_any_point_takes_nothing_that_was_promised(tmp_path: Path) -> None:
    """F91: the quick run of `python -m reliability powercut`."""
    report = await powercut.run(tmp_path, count=12, seed=3, serving_s=0.4, points_each=3)
    assert not report.problems, str(report)
    assert report.facts["answers"]
