import sys
from pathlib import Path

import pytest

from reliability import crew

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs pidfds and /proc")


@pytest.mark.timeout(900)
@pytest.mark.slow
async def test_whichever_process_of_several_is_killed_no_row_is_missing(tmp_path: Path) -> None:
    """F69 F74: `python -m reliability crew`, for a start."""
    report = await crew.run(tmp_path, count=10, seed=3)
    assert not report.problems, str(report)
    assert not report.facts["connections_refused"]
