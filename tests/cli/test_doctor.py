"""What a bug report needs, and nothing that must not be in one."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from llm_router.cli import main
from llm_router.cli.versions import floors
from tests.cli.conftest import Run

SECRET = "sk-or-canary"


@pytest.fixture(autouse=True)
def api_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", SECRET)


def diagnosis(run: Run, *arguments: str, status: int = 0) -> dict[str, Any]:
    found, out, err = run("doctor", "--json", *arguments)
    assert found == status, out
    assert "canary" not in out + err
    facts: dict[str, Any] = json.loads(out)
    return facts


def test_before_the_first_start_all_is_well(run: Run) -> None:
    facts = diagnosis(run)
    assert set(facts["versions"]) >= {"llm-router", "python", "platform", "sqlite", *floors()}
    assert facts["database"] == {"path": "router.db", "exists": False, "written by": "nobody"}
    assert facts["settings"] == {"upstream.api_key": "*** (environment, OPENROUTER_API_KEY)"}
    assert facts["journal"]["segments"] == 0
    assert facts["problems"] == []


def test_a_database_is_described(run: Run, folder: Path) -> None:
    run("import", str(saved(folder)))
    facts = diagnosis(run)["database"]
    assert facts["exists"]
    assert facts["mode"] == "-rw-------"
    assert facts["schema"] == facts["schema of this program"]
    assert facts["bytes"] > 0
    assert facts["rows"] == {"requests": 0, "attempts": 0, "in flight": 0}
    assert facts["configuration version"] == 2


def saved(folder: Path) -> Path:
    (folder / "x.json").write_text('{"code": ["a/b"]}')
    return folder / "x.json"


def test_the_journals_backlog_is_counted(run: Run, folder: Path) -> None:
    journals = folder / "router.db-journals"
    journals.mkdir()
    (journals / "0-1-a.000000.journal").write_bytes(b"x" * 100)
    (journals / "0-1-a.000001.journal").write_bytes(b"x" * 11)
    (journals / "something else").write_bytes(b"x")
    assert diagnosis(run)["journal"] == {
        "path": "router.db-journals", "segments": 2, "bytes": 111, "backlog bytes": 111,
    }  # fmt: skip
    run("import", str(saved(folder)))
    with sqlite3.connect(folder / "router.db") as database:
        database.execute("INSERT INTO journal_offsets VALUES ('0-1-a.000000.journal', 60)")
    database.close()
    assert diagnosis(run)["journal"]["backlog bytes"] == 51


def test_a_database_that_is_none_is_a_problem(run: Run, folder: Path) -> None:
    (folder / "router.db").write_bytes(b"not a database" * 100)
    facts = diagnosis(run, status=1)
    assert "is not a SQLite database" in facts["problems"][0]
    assert (folder / "router.db").read_bytes() == b"not a database" * 100


def test_settings_that_cannot_be_loaded_are_a_problem_and_not_the_end(
    run: Run, folder: Path
) -> None:
    (folder / "config.toml").write_text("[sever]")
    facts = diagnosis(run, status=1)
    assert "unknown section" in facts["problems"][0]
    assert facts["versions"]["python"]


def test_what_would_stop_serve_is_a_problem(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_HOST", "0.0.0.0")
    facts = diagnosis(run, status=1)
    [problem] = facts["problems"]
    assert problem.startswith("environment, ROUTER_HOST: 0.0.0.0 can be reached")


def test_people_get_lines(run: Run) -> None:
    run("migrate")
    status, out, _ = run("doctor")
    assert status == 0
    assert "versions\n  llm-router: " in out
    assert "  exists: yes\n" in out
    assert "  rows: 0 requests, 0 attempts, 0 in flight\n" in out
    assert out.endswith("problems\n  none\n")


@pytest.fixture
async def places(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[tuple[str, str | None]]]:
    """OpenRouter and Ollama on one address; what they were asked, and with which key."""
    asked: list[tuple[str, str | None]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.path, request.headers.get("Authorization")))
        status = 401 if request.headers.get("Authorization") == "Bearer bad" else 200
        return web.json_response({"data": {"label": SECRET}}, status=status)

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    async with TestServer(app) as server:
        monkeypatch.setenv("OPENROUTER_BASE_URL", str(server.make_url("/api/v1")))
        monkeypatch.setenv("OLLAMA_BASE_URL", str(server.make_url("")))
        yield asked


async def online(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    status = await asyncio.to_thread(main, ["doctor", "--network", "--json"])
    out = capsys.readouterr().out
    assert "canary" not in out
    return status, json.loads(out)


async def test_openrouter_is_asked_about_the_key_and_ollama_never_sees_it(
    places: list[tuple[str, str | None]], capsys: pytest.CaptureFixture[str]
) -> None:
    status, facts = await online(capsys)
    assert status == 0
    assert "/api/v1/key: 200 after " in facts["network"]["openrouter"]
    assert "/api/version: 200 after " in facts["network"]["ollama"]
    assert places == [("/api/v1/key", f"Bearer {SECRET}"), ("/api/version", None)]


async def test_a_key_that_is_refused_is_a_problem(
    places: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "bad")
    status, facts = await online(capsys)
    assert status == 1
    assert "/key: 401 after " in facts["problems"][0]


async def test_without_a_key_the_model_list_shows_that_openrouter_is_there(
    places: list[tuple[str, str | None]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENROUTER_API_KEY")
    await online(capsys)
    assert places[0] == ("/api/v1/models", None)


async def test_nobody_there_is_a_problem_for_openrouter_alone(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    unused_tcp_port: int,
) -> None:
    """F40: Ollama may be down."""
    monkeypatch.setenv("OPENROUTER_BASE_URL", f"http://127.0.0.1:{unused_tcp_port}/v1")
    monkeypatch.setenv("OLLAMA_BASE_URL", f"http://127.0.0.1:{unused_tcp_port}")
    status, facts = await online(capsys)
    assert status == 1
    assert len(facts["problems"]) == 1
    assert "cannot be reached" in facts["network"]["ollama"]
