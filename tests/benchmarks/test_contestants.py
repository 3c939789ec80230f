"""Contestants are started in front of an upstream, and what they answer is compared."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.contestants import Contestant, Stage
from benchmarks.entrants import (
    FLOOR,
    KEYWORDS,
    LITELLM,
    NGINX,
    Entrant,
    Tools,
    behind_tls,
    tools_of_this_machine,
    without_ledger,
)
from benchmarks.load import Load
from benchmarks.others import litellm
from benchmarks.processes import Processes
from benchmarks.prompts import Shape
from benchmarks.rounds import missing_rows

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="not for Windows")


@pytest.fixture(scope="module")
def tools() -> Tools:
    return tools_of_this_machine()


async def answered(contestant: Contestant, shape: Shape) -> int:
    result = await Load(contestant.url, shape, 3, contestant.pid).run(0, 0.2)
    assert result.bad == 0
    assert result.answered >= 3
    return result.answered


def rows(folder: Path) -> int:
    """Count what a router under this folder has booked."""
    [path] = folder.glob("router-*/router.db")
    query = "SELECT (SELECT count(*) FROM requests) + (SELECT count(*) FROM attempts)"
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute(query).fetchone()[0])


@pytest.mark.parametrize("entrant", [FLOOR, NGINX, KEYWORDS], ids=lambda entrant: entrant.name)
async def test_an_upstream_may_talk_tls(entrant: Entrant, tmp_path: Path, tools: Tools) -> None:
    entrant = behind_tls(entrant)
    if not tools.can_run(entrant):
        pytest.skip("openssl or nginx is missing")
    with Processes(tmp_path) as processes:
        contestant = Stage(processes, None, tmp_path, tools).start(entrant)
        count = await answered(contestant, Shape())
        count += await answered(contestant, Shape(is_stream=True, chunks=3))
    assert missing_rows(contestant, count) == 0


async def test_without_ledger_all_answers_are_right_and_none_is_booked(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        contestant = Stage(processes, None, tmp_path, Tools()).start(without_ledger(KEYWORDS))
        await answered(contestant, Shape())
        await answered(contestant, Shape(is_stream=True, chunks=3))
    assert rows(tmp_path) == 0
    assert contestant.ledger is None


def test_who_needs_what_is_missing_stays_away() -> None:
    nothing = Tools()
    assert nothing.can_run(FLOOR)
    assert not any(map(nothing.can_run, (NGINX, LITELLM, behind_tls(FLOOR))))
    assert Tools(openssl="openssl").can_run(behind_tls(FLOOR))
    assert not Tools(openssl="openssl").can_run(behind_tls(NGINX))


def test_litellm_is_told_of_one_model_at_the_upstream(tmp_path: Path) -> None:
    arguments, _ = litellm(tmp_path, "http://127.0.0.1:1", "127.0.0.1:2")
    assert arguments[2:6] == ("--host", "127.0.0.1", "--port", "2")
    assert "api_base: http://127.0.0.1:1/api/v1\n" in Path(arguments[1]).read_text()
