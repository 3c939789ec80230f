from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from pydantic import SecretStr

from llm_router import __version__
from llm_router.errors import StorageError
from llm_router.keys import (
    ACCESS,
    BREAKERS,
    CATALOG,
    CLASSIFIER,
    CLOCK,
    CONFIG,
    DATABASE,
    INGESTOR,
    JOURNAL,
    LIFECYCLE,
    SETTINGS,
)
from llm_router.ledger.ingest import Ingestor
from llm_router.ledger.journal import Journal
from llm_router.routing.breaker import Breakers
from llm_router.routing.catalog import Catalog, CatalogHolder, read_models
from llm_router.routing.config import Category, ConfigHolder, RoutingConfig
from llm_router.routing.failures import Failure, FailureClass
from llm_router.routing.permits import Permit
from llm_router.settings import BreakerSettings, ClassifierSettings, ServerSettings, Settings
from llm_router.storage.sqlite import Database, open_database
from llm_router.web.access import Access
from llm_router.web.health import ROUTES
from llm_router.web.lifecycle import Lifecycle
from llm_router.web.routes import Scope

ADMIN = {"Authorization": "Bearer the-admin-key"}
CLASSIFYING = "w/tiny"
CONFIG_7 = RoutingConfig(7, {"code": Category("code", ("v/model-1", "v/model-3"))})


class Clock:
    def __init__(self) -> None:
        self.now = 1_769_860_800.0  # 2026-01-31T12:00:00Z

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


@dataclass
class Part:
    """Stands for the journal and the ingestor, of which health asks only this."""

    is_failing: bool = False
    backlog_bytes: int = 0


@dataclass
class Classifier:
    steps: dict[str, str] = field(default_factory=lambda: {"ollama": "ok", "api": "ok"})

    def status(self) -> dict[str, Any]:
        return {"mode": "hybrid", "steps": self.steps, "skipped": {}}


class Bench:
    """An application that has only what health asks, and a client for it."""

    def __init__(self, database: Database, server: ServerSettings) -> None:
        self.clock = Clock()
        self.journal, self.ingestor, self.classifier = Part(), Part(), Classifier()
        self.lifecycle = Lifecycle(self.clock)
        self.breakers = Breakers(
            BreakerSettings(failures=1, open_s=300), self.clock, _ignore, lease_s=60, boot_id=None
        )
        self.catalog = CatalogHolder()
        self.app = web.Application()
        self.app[ACCESS] = Access(server, Clock())
        self.app[BREAKERS] = self.breakers
        self.app[CATALOG] = self.catalog
        self.app[CLASSIFIER] = cast(Any, self.classifier)
        self.app[CLOCK] = self.clock
        self.app[CONFIG] = ConfigHolder(CONFIG_7)
        self.app[DATABASE] = database
        self.app[INGESTOR] = cast(Ingestor, self.ingestor)
        self.app[JOURNAL] = cast(Journal, self.journal)
        self.app[LIFECYCLE] = self.lifecycle
        self.app[SETTINGS] = Settings(classifier=ClassifierSettings(api_model=CLASSIFYING))
        self.app.add_routes([web.route(r.method, r.path, r.handler) for r in ROUTES])
        self.client: Any = None

    async def get(self, path: str = "/health", **headers: str) -> tuple[int, dict[str, Any]]:
        async with self.client.get(path, headers=headers) as response:
            return response.status, await response.json()

    async def status(self) -> str:
        return str((await self.get())[1]["status"])

    def fail(self, model: str, kind: FailureClass, **facts: Any) -> None:
        permit = self.breakers.admit(model, "req_1")
        assert isinstance(permit, Permit)
        self.breakers.failed(permit, Failure(kind, "broke", **facts))


def _ignore(_change: object) -> None: ...


@pytest.fixture
async def bench(tmp_path: Path, aiohttp_client: Any) -> AsyncIterator[Bench]:
    server = ServerSettings(admin_key=SecretStr("the-admin-key"))
    async with open_database(tmp_path / "router.db") as database:
        bench = Bench(database, server)
        bench.client = await aiohttp_client(bench.app)
        yield bench


def test_health_is_for_everybody() -> None:
    assert {route.scope for route in ROUTES} == {Scope.PUBLIC}


# --- the status -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
async def test_a_sound_router_says_ok_and_nothing_else(bench: Bench, path: str) -> None:
    """T10: without the admin key nothing but the status is told."""
    assert await bench.get(path) == (200, {"status": "ok"})


@pytest.mark.parametrize("key", ["wrong", "", "the-admin-key-and-more"])
async def test_a_wrong_key_learns_no_more_than_none(bench: Bench, key: str) -> None:
    assert await bench.get(Authorization=f"Bearer {key}") == (200, {"status": "ok"})


async def test_a_draining_process_takes_no_new_requests_but_lives(bench: Bench) -> None:
    """F66: readiness is 503 at once."""
    bench.lifecycle.is_draining = True
    unavailable = (503, {"status": "unavailable"})
    assert await bench.get("/health/ready") == unavailable
    assert await bench.get("/health") == unavailable
    assert await bench.get("/health/live") == (200, {"status": "ok"})


async def test_without_ollama_the_router_is_degraded_and_ready(bench: Bench) -> None:
    bench.classifier.steps["ollama"] = "resting"
    assert await bench.get("/health/ready") == (200, {"status": "degraded"})
    assert await bench.get("/health/live") == (200, {"status": "ok"})


@pytest.mark.parametrize("part", ["journal", "ingestor"])
async def test_a_ledger_that_waits_for_its_disk_is_degraded(bench: Bench, part: str) -> None:
    getattr(bench, part).is_failing = True
    assert await bench.status() == "degraded"


async def test_an_open_breaker_degrades_until_its_time_is_up(bench: Bench) -> None:
    bench.fail("v/model-1", FailureClass.UPSTREAM_5XX)
    assert await bench.status() == "degraded"
    bench.clock.now += 301
    assert await bench.status() == "ok"


async def test_one_model_cooling_down_is_no_trouble_but_the_account_is(bench: Bench) -> None:
    bench.fail("v/model-1", FailureClass.RATE_LIMITED, retry_after_s=30.0)
    assert await bench.status() == "ok"
    bench.fail("v/model-3", FailureClass.RATE_LIMITED, retry_after_s=30.0, rests_all=True)
    assert await bench.status() == "degraded"


async def test_health_is_never_cached(bench: Bench) -> None:
    async with bench.client.get("/health") as response:
        assert response.headers["Cache-Control"] == "no-store"


# --- for the admin --------------------------------------------------------------------------------


async def test_the_admin_sees_everything_behind_the_status(bench: Bench) -> None:
    bench.clock.now += 90
    entries = [{"id": "v/model-1"}, {"id": "v/model-2"}]
    bench.catalog.current = Catalog(read_models({"data": entries}), fetched_at=bench.clock.now)
    bench.journal.backlog_bytes = 17
    status, body = await bench.get(**ADMIN)
    gate = {"state": "closed", "until": None, "cooldown_until": None}
    upstream = body.pop("upstream")
    assert set(upstream) == {"account", "transport", "rate"}
    assert all(gate.items() <= facts.items() for facts in upstream.values())
    schema_version = body["database"].pop("schema_version")
    assert schema_version >= 4
    assert (status, body) == (
        200,
        {
            "status": "ok",
            "version": __version__,
            "uptime_s": 90,
            "workers": {"wanted": 1, "serving": 1},
            "config_version": 7,
            "database": {"state": "ok", "journal": "ok", "journal_backlog_bytes": 17},
            "classifier": {
                "mode": "hybrid", "steps": {"ollama": "ok", "api": "ok"}, "skipped": {}
            },
            "breakers": [],
            "models": {
                "listed": 2,
                "fetched_at": "2026-01-31T12:01:30.000Z",
                "gone": {"v/model-3": ["v/model-2", "v/model-1"], CLASSIFYING: []},
            },
        },
    )  # fmt: skip


async def test_without_a_list_no_model_is_gone(bench: Bench) -> None:
    _, body = await bench.get(**ADMIN)
    assert body["models"] == {"listed": 0, "fetched_at": None, "gone": {}}


async def test_a_listed_model_that_a_call_has_found_missing_is_gone_while_it_rests(
    bench: Bench,
) -> None:
    """F14: a warning about the configuration; models that nobody configured are no part of it."""
    entries = [{"id": "v/model-1"}, {"id": "v/model-2"}, {"id": "v/model-3"}, {"id": CLASSIFYING}]
    bench.catalog.current = Catalog(read_models({"data": entries}), fetched_at=bench.clock.now)
    bench.fail("v/model-3", FailureClass.MODEL_GONE)
    bench.fail("x/unconfigured", FailureClass.MODEL_GONE)
    _, body = await bench.get(**ADMIN)
    assert body["models"]["gone"] == {"v/model-3": ["v/model-2", "v/model-1"]}
    bench.clock.now += 600
    _, body = await bench.get(**ADMIN)
    assert body["models"]["gone"] == {}


async def test_the_admin_sees_open_breakers_and_cool_downs(bench: Bench) -> None:
    bench.fail("v/model-1", FailureClass.UPSTREAM_5XX)
    bench.fail("v/model-2", FailureClass.RATE_LIMITED, retry_after_s=30.0)
    bench.fail("v/model-3", FailureClass.REQUEST)
    _, body = await bench.get(**ADMIN)
    opened, cooling = body["breakers"]
    assert (opened["model"], opened["state"]) == ("v/model-1", "open")
    assert opened["until"] == "2026-01-31T12:05:00.000Z"
    assert (cooling["model"], cooling["state"]) == ("v/model-2", "closed")
    assert cooling["cooldown_until"] == "2026-01-31T12:00:30.000Z"


async def test_a_database_that_cannot_be_written_shows_as_failing(bench: Bench) -> None:
    bench.ingestor.is_failing = bench.journal.is_failing = True
    _, body = await bench.get(**ADMIN)
    assert body["database"]["state"] == "failing"
    assert body["database"]["journal"] == "failing"


@pytest.mark.parametrize(
    ("error", "state"), [(StorageError("corrupt"), "failing"), (TimeoutError(), "busy")]
)
async def test_a_database_that_does_not_answer_costs_no_answer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception, state: str
) -> None:
    async def read(*_: object) -> None:
        raise error

    monkeypatch.setattr(bench.app[DATABASE], "read", read)
    status, body = await bench.get(**ADMIN)
    assert status == 200
    assert body["database"]["state"] == state
    assert body["database"]["schema_version"] is None
    assert body["status"] == ("degraded" if state == "failing" else "ok")


async def test_without_an_admin_key_a_direct_loopback_peer_is_the_admin(
    tmp_path: Path, aiohttp_client: Any
) -> None:
    async with open_database(tmp_path / "router.db") as database:
        bench = Bench(database, ServerSettings())
        bench.client = await aiohttp_client(bench.app)
        assert "version" in (await bench.get())[1]
        proxied = await bench.get(**{"X-Forwarded-For": "10.0.0.1"})
        assert proxied == (200, {"status": "ok"})
