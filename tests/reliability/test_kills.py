import sys
from pathlib import Path

import pytest

from reliability import kills

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs pidfds and prctl")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [5, pytest.param(60, marks=pytest.mark.slow)])
async def test_no_row_is_missing_or_untrue_after_kills_at_random_moments(
    tmp_path: Path, count: int
) -> None:
    """F69 F74: a short run of `python -m reliability kills`."""
    report = await kills.run(tmp_path, count=count, seed=1, callers=4)
    assert not report.problems, str(report)
    assert report.facts["whole_answers"]
    assert report.facts["outcomes"]["lost"]
    assert report.facts["restarts_compared"]
