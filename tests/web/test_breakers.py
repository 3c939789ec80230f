import sqlite3
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from llm_router.errors import NotFound, StorageError
from llm_router.keys import BREAKERS, CONFIG, DATABASE, INGESTOR
from llm_router.ledger.entry import BreakerChanged
from llm_router.ledger.ingest import Ingestor
from llm_router.routing.breaker import Breakers
from llm_router.routing.config import Category, ConfigHolder, RoutingConfig
from llm_router.routing.failures import Failure, FailureClass
from llm_router.routing.permits import Permit
from llm_router.settings import BreakerSettings
from llm_router.storage.breakers import load, write_changes
from llm_router.storage.sqlite import Database, open_database
from llm_router.web.breakers import ROUTES
from llm_router.web.routes import Scope
from tests.fakes.clock import Clock
from tests.fakes.ledger import add_exchange

GLM = "z-ai/glm-5"
DIRECT = "vendor/model:free"
CONFIGURED = RoutingConfig(1, {"code": Category("code", ("glm-5",))}, {"glm-5": GLM})


class Router:
    """The handlers on a real socket, with a real database behind them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.pending: list[BreakerChanged] = []
        self.is_full = False
        self.is_corrupt = False
        self.breakers = Breakers(
            BreakerSettings(),
            Clock(unix=1_769_860_800.0),
            self.pending.append,
            lease_s=70,
            boot_id="boot",
        )
        self.app = web.Application()
        self.app[BREAKERS] = self.breakers
        self.app[CONFIG] = ConfigHolder(CONFIGURED)
        self.app[DATABASE] = cast(Database, self)
        self.app[INGESTOR] = cast(Ingestor, self)
        for route in ROUTES:
            self.app.router.add_route(route.method, route.path, _shown(route.handler))
        self.url = ""

    async def read(self, sql: str, params: Sequence[object] = ()) -> list[sqlite3.Row]:
        if self.is_corrupt:
            raise StorageError("corrupt")
        return await self.database.read(sql, params)

    async def flush(self) -> None:
        if self.is_full:
            raise StorageError("disk full")

        await self.database.transact(partial(write_changes, changes=self.pending))
        self.pending.clear()

    share = flush

    def fail(self, model: str, kind: FailureClass = FailureClass.UPSTREAM_5XX) -> None:
        permit = self.breakers.admit(model, "req-1")
        assert isinstance(permit, Permit)
        self.breakers.failed(permit, Failure(kind, "it failed", retry_after_s=30))

    def trip(self, model: str) -> None:
        for _ in range(3):
            self.fail(model)

    async def call(self, method: str, path: str) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, URL(self.url + path, encoded=True)) as answer,
        ):
            return answer.status, await answer.json()

    async def reset(self, name: str) -> tuple[int, Any]:
        return await self.call("POST", "/circuit-breaker/reset/" + name)


def _shown(handler: Any) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            response: web.StreamResponse = await handler(request)
        except NotFound as error:
            return web.json_response(error.body(), status=error.status)
        return response

    return answer


@pytest.fixture
async def router(tmp_path: Path) -> AsyncIterator[Router]:
    async with open_database(tmp_path / "router.db") as database:
        router = Router(database)
        async with TestServer(router.app) as server:
            router.url = str(server.make_url("")).rstrip("/")
            yield router


async def test_configured_models_are_listed_before_they_are_called(router: Router) -> None:
    status, shown = await router.call("GET", "/circuit-breaker")
    assert status == 200
    assert shown["breakers"] == [
        {
            "model": GLM,
            "state": "closed",
            "since": None,
            "until": None,
            "reason": None,
            "cooldown_until": None,
            "failures": 0,
            "forced": None,
        }
    ]
    assert [gate["gate"] for gate in shown["gates"]] == [
        "gate:account",
        "gate:transport",
        "gate:rate",
    ]
    assert shown["transitions"] == []


async def test_an_open_breaker_shows_until_when_and_why(router: Router) -> None:
    router.trip(DIRECT)
    await router.flush()
    _, shown = await router.call("GET", "/circuit-breaker")
    assert [each["model"] for each in shown["breakers"]] == [DIRECT, GLM]
    assert shown["breakers"][0] == {
        "model": DIRECT,
        "state": "open",
        "since": "2026-01-31T12:00:00.000Z",
        "until": "2026-01-31T12:05:00.000Z",
        "reason": "3 failures in a row, the last: upstream_5xx",
        "cooldown_until": None,
        "failures": 3,
        "forced": None,
    }
    assert shown["transitions"] == [
        {
            "at": "2026-01-31T12:00:00.000Z",
            "model": DIRECT,
            "from": "closed",
            "to": "open",
            "reason": "3 failures in a row, the last: upstream_5xx",
            "request_id": "req-1",
        }
    ]


async def test_a_cool_down_leaves_the_state_closed(router: Router) -> None:
    router.fail(GLM, FailureClass.RATE_LIMITED)
    _, shown = await router.call("GET", "/circuit-breaker")
    assert shown["breakers"][0]["state"] == "closed"
    assert shown["breakers"][0]["cooldown_until"] == "2026-01-31T12:00:30.000Z"


async def test_states_are_shown_while_the_database_cannot_answer(router: Router) -> None:
    router.trip(GLM)
    router.is_corrupt = True
    status, shown = await router.call("GET", "/circuit-breaker")
    assert status == 200
    assert shown["breakers"][0]["state"] == "open"
    assert shown["transitions"] is None


@pytest.mark.parametrize("name", ["glm-5", "z-ai/glm-5", "z-ai%2Fglm-5", "glm-5/"])
async def test_a_model_is_reset_by_alias_or_full_id(router: Router, name: str) -> None:
    router.trip(GLM)
    assert await router.reset(name) == (200, {"reset": GLM, "cleared": [GLM]})
    (row,) = await load(router.database)
    assert (row.state, row.reason) == ("closed", "reset by an operator")
    assert router.breakers.peek(GLM) is None


async def test_a_cool_down_is_reset_too(router: Router) -> None:
    router.fail(DIRECT, FailureClass.MODEL_GONE)
    assert await router.reset(DIRECT) == (200, {"reset": DIRECT, "cleared": [DIRECT]})
    assert router.breakers.peek(DIRECT) is None


async def test_all_clears_every_model_and_gate(router: Router) -> None:
    router.trip(GLM)
    router.fail(DIRECT, FailureClass.AUTH)
    assert await router.reset("all") == (200, {"reset": "all", "cleared": ["gate:account", GLM]})
    assert all(view.is_clear for view in router.breakers.views())


async def test_a_gate_is_reset_by_its_name(router: Router) -> None:
    router.fail(GLM, FailureClass.AUTH)
    assert (await router.reset("gate:account"))[1]["cleared"] == ["gate:account"]


async def test_a_configured_model_that_was_never_called_has_nothing_to_clear(
    router: Router,
) -> None:
    assert await router.reset("glm-5") == (200, {"reset": GLM, "cleared": []})


async def test_a_model_never_seen_is_not_found(router: Router) -> None:
    status, answer = await router.reset("z-ai/glm-4")
    assert status == 404
    assert answer["error"]["metadata"]["near"][0] in ("glm-5", GLM)
    status, answer = await router.reset("xyz")
    assert status == 404
    assert "metadata" not in answer["error"]


async def test_a_model_that_the_ledger_knows_has_been_seen(router: Router) -> None:
    """Before a restart, or by another worker."""
    await add_exchange(router.database, id="earlier", served_model=DIRECT)
    assert await router.reset(DIRECT) == (200, {"reset": DIRECT, "cleared": []})
    router.is_corrupt = True
    assert (await router.reset(DIRECT))[0] == 404


async def test_a_reset_is_in_force_even_if_it_cannot_be_stored_now(router: Router) -> None:
    """F84"""
    router.trip(GLM)
    router.is_full = True
    assert (await router.reset(GLM))[0] == 200
    assert router.breakers.peek(GLM) is None
    assert router.pending[-1].to_state == "closed"


def test_all_of_it_is_for_the_administrator() -> None:
    """T03"""
    assert {route.scope for route in ROUTES} == {Scope.ADMIN}
