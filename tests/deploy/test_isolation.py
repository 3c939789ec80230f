"""What decides which code runs, where it is started as the unit and the image start it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.process import PATIENCE_S
from tests.cli.test_serve import ENVIRON, READY

HOSTILE = "raise SystemExit('taken over')\n"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_neither_its_folder_nor_the_environment_brings_code_along(tmp_path: Path) -> None:
    """T46: and its workers are started as it was."""
    for name in ("llm_router.py", "aiohttp.py", "sitecustomize.py", "usercustomize.py"):
        (tmp_path / name).write_text(HOSTILE)
    environ = {**ENVIRON, "ROUTER_PORT": "0", "LLM_ROUTER_SERVER__WORKERS": "2"}
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "llm_router", "serve"],
        cwd=tmp_path,
        env={**environ, "PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": str(tmp_path / "aiohttp.py")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(READY)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        commands = [Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in children]
        assert len(commands) == 3
        assert all(command[1:4] == [b"-I", b"-m", b"llm_router.workers"] for command in commands)
    finally:
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)
    assert "taken over" not in err
    assert process.returncode == 0
