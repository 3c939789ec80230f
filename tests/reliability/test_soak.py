import sys
from pathlib import Path

import pytest

from reliability import soak

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs pidfds and /proc")


@pytest.mark.timeout(900)
@pytest.mark.slow
async def test_a_minute_of_everything_leaves_true_books(tmp_path: Path) -> None:
    """F66 F69 F72 F86 T10 T11: `make soak`, for a start."""
    report = await soak.run(tmp_path, count=1, seed=5)
    assert not report.problems, str(report)
    assert len(report.facts["faults"]) > 2
