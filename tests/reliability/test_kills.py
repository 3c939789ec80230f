import sys
from pathlib import Path

import pytest

from reliability import kills

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs pidfds and prctl")


async def test_no_row_is_missing_or_untrue_after_kills_at_random_moments(tmp_path: Path) -> None:
    """F69 F74: the quick run of `python -m reliability kills`."""
    report = await kills.run(tmp_path, count=5, seed=1, callers=4)
    assert not report.problems, str(report)
    assert report.facts["whole_answers"]
    assert report.facts["outcomes"]["lost"]
    assert report.facts["restarts_compared"]
