import asyncio
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from llm_router.cli import main
from llm_router.clock import SystemClock
from llm_router.ledger.entry import BreakerChanged
from llm_router.routing.breaker import Breakers
from llm_router.routing.failures import Failure, FailureClass
from llm_router.routing.permits import Permit
from llm_router.routing.snapshot import StoredBreaker, view_of_row
from llm_router.settings import BreakerSettings
from llm_router.storage.breakers import load, write_changes
from llm_router.storage.sqlite import open_database, open_reader

GLM = "z-ai/glm-5"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("ROUTER_DB", "ROUTER_ADMIN_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def fill(path: Path) -> None:
    """Leave a database behind in which one model is open and the account's gate too."""
    changes: list[BreakerChanged] = []
    breakers = Breakers(
        BreakerSettings(), SystemClock(), changes.append, lease_s=70, boot_id="boot"
    )
    kinds = [FailureClass.UPSTREAM_5XX] * 3 + [FailureClass.AUTH]
    for kind in kinds:
        permit = breakers.admit(GLM if kind.rule.falls_back else "other/model", "r")
        assert isinstance(permit, Permit)
        breakers.failed(permit, Failure(kind, "x"))

    async def write() -> None:
        async with open_database(path) as database:
            await database.transact(partial(write_changes, changes=changes))

    asyncio.run(write())


def rows(path: Path) -> dict[str, StoredBreaker]:
    async def read() -> list[StoredBreaker]:
        async with open_reader(path) as reader:
            return await load(reader)

    return {row.subject: row for row in asyncio.run(read())}


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    status = main(["breakers", *args])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_list_says_what_is_shut_out_and_why(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(folder / "router.db")
    status, out, _ = run(capsys)
    assert status == 0
    assert GLM in out
    assert "3 failures in a row" in out
    assert "gate:account" in out


def test_the_list_is_json_on_request(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "elsewhere.db"
    fill(path)
    _, out, _ = run(capsys, "--json", "--db", str(path))
    shown = json.loads(out)
    assert [(each["model"], each["state"]) for each in shown["breakers"]] == [(GLM, "open")]
    assert [each["gate"] for each in shown["gates"]] == ["gate:account"]
    assert [each["to"] for each in shown["transitions"]] == ["open", "open"]


def test_without_a_database_nothing_was_shut_out(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys)
    assert (status, out) == (0, "nothing has ever been shut out\n")
    assert err == "llm-router: there is no database router.db yet\n"


def test_a_database_that_was_named_must_be_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "--db", "ruoter.db")
    assert (status, out) == (1, "")
    assert "ruoter.db does not exist" in err


@pytest.mark.parametrize(("name", "cleared"), [("glm-5", [GLM]), ("all", ["gate:account", GLM])])
def test_a_reset_without_a_server_is_written_for_the_next_start(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, cleared: list[str]
) -> None:
    fill(folder / "router.db")
    status, out, _ = run(capsys, "reset", name, "--json")
    assert status == 0
    assert json.loads(out)["cleared"] == cleared
    stored = rows(folder / "router.db")
    assert {subject: stored[subject].state for subject in cleared} == dict.fromkeys(
        cleared, "closed"
    )
    nothing = "nothing was shut out" if name == "all" else f"{GLM} was not shut out"
    assert run(capsys, "reset", name)[1] == f"{nothing}\n"


def test_options_may_stand_before_the_action(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(folder / "router.db")
    assert json.loads(run(capsys, "--json", "reset", GLM)[1])["cleared"] == [GLM]


def test_an_unknown_model_is_told_with_a_near_name(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(folder / "router.db")
    status, _, err = run(capsys, "reset", "z-ai/glm-6")
    assert status == 1
    assert f"did you mean {GLM}" in err


def test_a_reset_needs_a_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "reset")
    assert status == 2
    assert "needs the name of a model" in err


def test_without_a_server_a_model_is_held_from_the_next_start_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(folder / "router.db")
    assert run(capsys, "force", "glm-5", "closed") == (0, f"{GLM} is forced closed\n", "")
    stored = rows(folder / "router.db")[GLM]
    assert (stored.state, stored.forced) == ("closed", "closed")
    assert "closed (forced)" in run(capsys)[1]
    assert json.loads(run(capsys, "force", GLM, "off", "--json")[1]) == {
        "model": GLM,
        "forced": None,
    }
    assert rows(folder / "router.db")[GLM].forced is None


@pytest.mark.parametrize("name", ["gate:account", "all"])
def test_only_a_model_can_be_held(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    fill(folder / "router.db")
    status, _, err = run(capsys, "force", name, "closed")
    assert status == 2
    assert "force holds one model" in err


@pytest.mark.parametrize("args", [["force"], ["force", GLM], ["reset", GLM, "open"]])
def test_force_needs_a_name_and_a_state(
    folder: Path, capsys: pytest.CaptureFixture[str], args: list[str]
) -> None:
    status, _, err = run(capsys, *args)
    assert status == 2
    assert "open, closed or off" in err


async def test_a_running_server_is_asked_to_hold(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    async def force(request: web.Request) -> web.Response:
        asked.append((request.match_info["model"], await request.json()))
        return web.json_response({"model": GLM, "forced": "open"})

    app = web.Application()
    app.router.add_post("/circuit-breaker/force/{model:.+}", force)
    async with TestServer(app) as server, open_database(folder / "router.db") as database:
        database.announce(str(server.make_url("")).rstrip("/"))
        status, out, _ = await asyncio.to_thread(run, capsys, "force", GLM, "open")
    assert (status, out) == (0, f"{GLM} is forced open\n")
    assert asked == [(GLM, {"state": "open"})]


async def test_a_running_server_is_asked_to_reset(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_ADMIN_KEY", "an-admin-key-of-good-length")
    asked: list[Any] = []

    async def reset(request: web.Request) -> web.Response:
        asked.append((request.match_info["model"], request.headers["Authorization"]))
        return web.json_response({"reset": GLM, "cleared": [GLM]})

    app = web.Application()
    app.router.add_post("/circuit-breaker/reset/{model:.+}", reset)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with open_database(folder / "router.db") as database:
            database.announce(f"http://127.0.0.1:{runner.addresses[0][1]}")
            status, out, _ = await asyncio.to_thread(run, capsys, "reset", GLM)
    finally:
        await runner.cleanup()
    assert (status, out) == (0, f"let in again: {GLM}\n")
    assert asked == [(GLM, "Bearer an-admin-key-of-good-length")]


def test_a_row_is_shown_as_it_is_by_now() -> None:
    now = time.time()
    row = StoredBreaker(
        GLM, "half_open", now - 90, now - 20, None, now - 1, None, None, None, 3, 300.0
    )
    assert view_of_row(row, now).state == "open"
    assert view_of_row(row, now).cooldown_until is None
    assert view_of_row(row, now - 30).state == "half_open"
    assert view_of_row(row, now - 30).cooldown_until == now - 1
