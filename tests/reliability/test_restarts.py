import sys
from pathlib import Path

import pytest

from reliability import restarts

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs pidfds")


@pytest.mark.parametrize("count", [2, pytest.param(20, marks=pytest.mark.slow)])
async def test_restarts_fail_no_request(tmp_path: Path, count: int) -> None:
    """F66: a short run of `python -m reliability restarts`, with connections kept and not."""
    report = await restarts.run(tmp_path, count=count, seed=1, requests_each=60, callers=4)
    assert not report.problems, str(report)
    assert report.facts["requests"] >= 60 * count
