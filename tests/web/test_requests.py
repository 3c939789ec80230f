"""GET /requests and /requests/{id}."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from llm_router.clock import SystemClock
from llm_router.errors import StorageError
from llm_router.keys import CLOCK, CONFIG, DATABASE, INGESTOR, JOURNAL
from llm_router.ledger.ingest import Ingestor
from llm_router.ledger.journal import open_journal
from llm_router.routing.config import ConfigHolder, RoutingConfig
from llm_router.settings import LedgerSettings
from llm_router.storage.ledger import SqliteLedger
from llm_router.storage.sqlite import Database, open_database
from llm_router.web import metrics, requests
from llm_router.web.middleware import errors
from llm_router.web.routes import Scope
from tests.fakes.ledger import (
    AURORA,
    GLM,
    IN_FLIGHT,
    UNKNOWN_COST,
    add_attempt,
    add_exchange,
    add_request,
)
from tests.ledger.entries import request_started

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "router.db") as database:
        yield database


@pytest.fixture
async def client(database: Database) -> AsyncIterator[Client]:
    app = web.Application(middlewares=[errors])
    app[DATABASE] = database
    app[CLOCK] = clock = SystemClock()
    ledger = LedgerSettings(path=database.path)
    app[INGESTOR] = Ingestor(SqliteLedger(database), ledger.journals, clock)
    app[CONFIG] = ConfigHolder(RoutingConfig(1, {}, {"glm-5": GLM}))
    for route in requests.ROUTES:
        app.router.add_route(route.method, route.path, route.handler)
    async with open_journal(ledger) as app[JOURNAL], TestClient(TestServer(app)) as client:
        yield client


async def get(client: Client, path: str, **params: str) -> tuple[int, dict[str, Any]]:
    async with client.get(path, params=params) as response:
        return response.status, await response.json()


async def listed(client: Client, **params: str) -> list[str]:
    status, body = await get(client, "/requests", **params)
    assert status == 200, body
    return [row["id"] for row in body["requests"]]


def test_the_ledger_is_for_admins() -> None:
    """T27: who asked what, and what it cost, is nobody else's business."""
    assert {route.scope for route in (*requests.ROUTES, *metrics.ROUTES)} == {Scope.ADMIN}


async def test_a_row_shows_every_column_and_dollars_beside_nano_dollars(
    client: Client, database: Database
) -> None:
    await add_request(database, cost_nanousd=1)
    _, body = await get(client, "/requests")
    [row] = body["requests"]
    assert set(row) == {
        "id", "started_at", "finished_at", "category", "classifier", "confidence",
        "classifier_ms", "requested_model", "served_model", "is_stream", "client_key", "session",
        "attempts", "outcome", "http_status", "error_class", "prompt_tokens", "completion_tokens",
        "cached_tokens", "reasoning_tokens", "cost_usd", "cost_nanousd", "cost_source",
        "time_to_first_chunk_ms", "total_ms", "overhead_ms",
    }  # fmt: skip
    assert (row["is_stream"], row["cost_usd"], row["cost_nanousd"]) == (True, 1e-9, 1)
    assert body["next"] is None


async def test_an_unknown_cost_is_null_and_never_zero(client: Client, database: Database) -> None:
    request = await add_request(database, **UNKNOWN_COST)
    _, row = await get(client, f"/requests/{request}")
    assert (row["cost_usd"], row["cost_nanousd"], row["cost_source"]) == (None, None, "unknown")


async def test_filters_narrow_the_list(client: Client, database: Database) -> None:
    a = await add_exchange(database, category="tools", served_model=AURORA, session="s")
    b = await add_exchange(database, started_at="2026-01-11T00:00:00.000Z", client_key="desk")
    c = await add_request(database, served_model=None, started_at="2026-01-09T00:00:00.000Z")
    d = await add_request(
        database, served_model=None, started_at="2026-01-08T00:00:00.000Z", **IN_FLIGHT
    )
    await add_attempt(database, c, model=GLM, outcome="failed")
    assert await listed(client) == [b, a, c, d]
    assert await listed(client, category="tools") == [a]
    assert await listed(client, model="glm-5") == [b, c]
    assert await listed(client, model=AURORA) == [a]
    assert await listed(client, key="desk") == [b]
    assert await listed(client, session="s") == [a]
    assert await listed(client, outcome="in_flight") == [d]
    assert await listed(client, classifier="api") == []
    assert await listed(client, since="2026-01-10", until="2026-01-11") == [a]


async def test_next_leads_through_all_pages(client: Client, database: Database) -> None:
    added = [await add_request(database) for _ in range(5)]
    seen: list[str] = []
    _, body = await get(client, "/requests", limit="2")
    while body["next"] is not None:
        seen += [row["id"] for row in body["requests"]]
        await add_request(database, started_at="2026-02-01T00:00:00.000Z")  # not on later pages
        _, body = await get(client, "/requests", limit="2", cursor=body["next"])
    seen += [row["id"] for row in body["requests"]]
    assert seen == added[::-1]


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"outcome": "fine"}, "outcome"),
        ({"classifier": "magic"}, "classifier"),
        ({"cursor": "x"}, "cursor"),
        ({"since": "now"}, "since"),
        ({"colour": "red"}, "colour"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
async def test_a_bad_parameter_is_named(client: Client, params: dict[str, str], name: str) -> None:
    status, body = await get(client, "/requests", **params)
    assert (status, body["error"]["type"], body["error"]["param"]) == (400, "invalid_request", name)


async def test_strings_are_only_ever_compared(client: Client, database: Database) -> None:
    """T01: SQL in a filter finds nothing and breaks nothing."""
    request = await add_request(database)
    for name in ("category", "model", "key", "session"):
        assert await listed(client, **{name: "' OR 1=1--"}) == []
    status, _ = await get(client, "/requests/' OR 1=1--")
    assert status == 404
    assert await listed(client) == [request]


async def test_one_request_shows_its_attempts(client: Client, database: Database) -> None:
    request = await add_request(database, attempts=2)
    await add_attempt(database, request, seq=2, note="[DONE] was missing")
    await add_attempt(database, request, seq=1, model=AURORA, outcome="failed", cost_nanousd=0)
    status, row = await get(client, f"/requests/{request}")
    assert (status, row["id"], row["attempt_count"]) == (200, request, 2)
    assert [(a["model"], a["outcome"], a["cost_usd"]) for a in row["attempts"]] == [
        (AURORA, "failed", 0.0),
        (GLM, "completed", 0.001),
    ]
    assert row["attempts"][1]["note"] == "[DONE] was missing"


async def test_a_request_is_found_as_soon_as_it_is_journaled(client: Client) -> None:
    """A client has its answer, and the id, up to a tenth of a second before the row is there."""
    assert client.app is not None
    client.app[JOURNAL].append(request_started("req-1"))
    assert (await get(client, "/requests/req-1"))[0] == 200
    client.app[JOURNAL].append(request_started("req-2"))
    assert set(await listed(client)) == {"req-1", "req-2"}


async def test_without_a_database_that_writes_what_it_has_is_shown(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F84 F86"""
    assert client.app is not None
    await add_request(database, id="earlier")

    async def locked() -> bool:
        raise StorageError("the database is locked")

    monkeypatch.setattr(client.app[INGESTOR], "flush", locked)
    client.app[JOURNAL].append(request_started("req-1"))
    assert await listed(client) == ["earlier"]


async def test_an_unknown_request_is_not_found(client: Client) -> None:
    status, body = await get(client, "/requests/nobody")
    assert (status, body["error"]["type"]) == (404, "not_found")
