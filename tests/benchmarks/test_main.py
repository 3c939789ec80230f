"""The command measures from a clone, and says what it cannot."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks.__main__ import main
from benchmarks.processes import ROOT


@pytest.mark.skipif(sys.platform == "win32", reason="not for Windows")
def test_one_round_finds_whole_answers_and_prints_a_table(tmp_path: Path) -> None:
    written = tmp_path / "report.json"
    tiny = ("--only=plain", "--rounds=1", "--seconds=0.2", f"--json={written}")
    done = subprocess.run(
        (sys.executable, "-m", "benchmarks", *tiny), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert rows[0].split("|")[2].strip() == "CPU µs per request"
    assert [row.split()[1] for row in rows[1:3]] == ["pass-through", "keywords"]
    report = msgspec.json.decode(written.read_bytes())
    assert [table["name"] for table in report["tables"]] == ["plain"]
    runs = {run["contestant"]: run["result"] for run in report["runs"]}
    assert all(run["answered"] and not run["bad"] for run in runs.values())
    assert set(runs["keywords"]["classifiers"]) == {"keywords"}


@pytest.mark.parametrize(
    ("argument", "word"),
    [
        ("--only=plain,litellm", "LiteLLM takes part if --litellm names its command"),
        ("--only=plane", "'plane' is none of plain, stream"),
        ("--litellm=/nowhere/litellm", "'/nowhere/litellm' cannot be run"),
        ("--rounds=0", "'0' is not a number from 1 up"),
        ("--soak=-1", "'-1' is not a number of seconds"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="not for Windows")
def test_what_cannot_be_measured_is_refused(
    argument: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([argument])
    assert word in capsys.readouterr().err
