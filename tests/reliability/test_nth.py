import sys
from pathlib import Path

import pytest

from reliability import nth, shims

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs LD_PRELOAD and pidfds"),
    pytest.mark.skipif(shims.compiler() is None, reason="there is no C compiler to build the shim"),
]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [5, pytest.param(100, marks=pytest.mark.slow)])
async def test_whichever_call_to_the_disk_fails_nothing_is_lost_by_it(
    tmp_path: Path, count: int
) -> None:
    """F85 F84: EIO, ENOSPC, EINTR and short writes, once, a few times, or from then on."""
    report = await nth.run(tmp_path, count=count, seed=2)
    assert not report.problems, str(report)
