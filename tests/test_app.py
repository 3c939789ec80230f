"""How the application is put together."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from llm_router import keys
from llm_router.app import create_app
from llm_router.routing.defaults import default_config
from llm_router.settings import LedgerSettings, Settings
from llm_router.web.routes import Scope
from tests.fakes.clock import Clock
from tests.integration.conftest import Start, start, upstream

__all__ = ["start", "upstream"]


def app() -> web.Application:
    return create_app(Settings(), default_config(), clock=Clock())


def test_every_route_says_who_may_use_it() -> None:
    """T03: an undeclared scope does not exist."""
    built = app()
    scopes = built[keys.SCOPES]
    assert list(scopes) == list(built.router.routes())

    def paths(scope: Scope) -> set[str]:
        found = {r.resource.canonical for r, s in scopes.items() if s is scope and r.resource}
        return {path.rstrip("/") or "/" for path in found}

    assert paths(Scope.PUBLIC) == {"/", "/health", "/health/live", "/health/ready"}
    assert paths(Scope.CLIENT) == {
        "/v1/chat/completions",
        "/chat/completions",
        "/v1/models",
        "/models",
        "/v1/models/{id}",
        "/models/{id}",
    }


def test_whatever_answers_get_answers_head() -> None:
    """Uptime monitors and load balancers ask with it."""
    routes = [(r.method, r.resource.canonical) for r in app().router.routes() if r.resource]
    assert {p for m, p in routes if m == "HEAD"} == {p for m, p in routes if m == "GET"}


def test_making_one_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app()
    assert list(tmp_path.iterdir()) == []


def test_bodies_may_be_as_long_as_the_settings_say() -> None:
    built = create_app(
        Settings.model_validate({"server": {"max_body_mb": 3}}), default_config(), clock=Clock()
    )
    assert built._client_max_size == 3 * 1024 * 1024


async def test_it_leaves_no_task_behind(start: Start) -> None:
    """What runs beside the requests: ingest, journal, model list, costs, sums, retention."""
    before = asyncio.all_tasks()
    async with start(ledger={"retention_days": 30}) as router:
        async with router.chat() as response:
            assert response.status == 200
        names = {task.get_name() for task in asyncio.all_tasks() - before}
        assert {"ingest", "journal-sync", "reconcile", "rollup", "retention"} <= names
    await asyncio.sleep(0)
    left = {t.get_name() for t in asyncio.all_tasks() - before if not t.done()}
    assert not {n for n in left if not n.startswith("Task-")}


async def test_nothing_is_pruned_unless_it_is_asked_for(start: Start) -> None:
    assert LedgerSettings().retention_days == 0
    async with start():
        assert "retention" not in {task.get_name() for task in asyncio.all_tasks()}


def test_serving_imports_nothing_that_it_may_never_need() -> None:
    """A start is mostly imports. Measured it is by `make bench`, part `start`."""
    code = "import sys, llm_router.cli.serve, llm_router.serving; print(*sys.modules)"
    # Measuring coverage imports things of its own.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environ
    )
    modules = set(done.stdout.split())
    unneeded = {"llm_router.demo", "llm_router.link", "llm_router.workers.supervisor"}
    assert not modules & {"rich", "prometheus_client", "multiprocessing", "unittest", *unneeded}
    assert "aiohttp" in modules
