"""GET /metrics, over real sockets and a real ledger."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from llm_router.clock import SystemClock
from llm_router.errors import StorageError, Unavailable
from llm_router.keys import (
    ANSWERS,
    CATALOG,
    CLOCK,
    CONFIG,
    DATABASE,
    IN_FLIGHT,
    INGESTOR,
    JOURNAL,
    LIFECYCLE,
    OTHERS,
    SETTINGS,
    WATCHDOG,
)
from llm_router.ledger import segments
from llm_router.ledger.ingest import Ingestor
from llm_router.ledger.journal import open_journal
from llm_router.load import Load
from llm_router.proxy.in_flight import InFlight
from llm_router.routing.catalog import Catalog, CatalogHolder
from llm_router.routing.config import Category, ConfigHolder, RoutingConfig
from llm_router.settings import LedgerSettings, Settings
from llm_router.storage.ledger import SqliteLedger
from llm_router.storage.sqlite import Database, open_database
from llm_router.watchdog import watching_loop
from llm_router.web import metrics
from llm_router.web.answers import MAX_KEPT, Answers
from llm_router.web.lifecycle import Lifecycle
from llm_router.web.middleware import errors
from tests.fakes.ledger import (
    AURORA,
    GLM,
    KIMI,
    UNKNOWN_COST,
    add_attempt,
    add_exchange,
    add_request,
    change,
)
from tests.ledger.entries import request_started

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


class FakeClock:
    def __init__(self) -> None:
        self.now = 1_768_046_400.0  # 2026-01-10T12:00:00Z

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "router.db") as database:
        yield database


@pytest.fixture
async def client(
    database: Database, clock: FakeClock, tmp_path: Path
) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    app = web.Application(middlewares=[errors])
    app[DATABASE] = database
    app[CLOCK] = clock
    app[CONFIG] = ConfigHolder(
        RoutingConfig(1, {"code": Category("code", ("glm-5", AURORA))}, {"glm-5": GLM})
    )
    app[CATALOG] = CatalogHolder()
    app[IN_FLIGHT] = InFlight()
    app[ANSWERS] = Answers(clock)
    app[LIFECYCLE] = Lifecycle(clock)
    app[OTHERS] = lambda: Load(in_flight=2, journal_backlog_bytes=30, loop_blocks=4)
    ledger = LedgerSettings(path=tmp_path / "router.db")
    app[SETTINGS] = Settings(ledger=ledger)
    app[INGESTOR] = Ingestor(SqliteLedger(database), ledger.journals, clock)
    for route in metrics.ROUTES:
        app.router.add_route(route.method, route.path, route.handler)
    async with open_journal(ledger) as journal, watching_loop() as app[WATCHDOG]:
        app[JOURNAL] = journal
        async with TestClient(TestServer(app)) as client:
            yield client


Client = TestClient[web.Request, web.Application]


async def get_json(client: Client, **params: str) -> dict[str, Any]:
    async with client.get("/metrics", params=params) as response:
        assert response.status == 200, await response.text()
        body: dict[str, Any] = await response.json()
        return body


async def get_text(client: Client) -> str:
    async with client.get("/metrics?format=prometheus") as response:
        assert response.status == 200
        return await response.text()


def kind(response: ClientResponse) -> str:
    return response.headers["Content-Type"].split(";")[0]


async def break_database(database: Database) -> None:
    await change(database, "ALTER TABLE stale_hours RENAME TO gone")
    await change(database, "ALTER TABLE request_counters RENAME TO gone_too")


@pytest.mark.parametrize(
    ("accept", "query", "expected"),
    [
        ("*/*", "", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "", "application/json"),
        ("application/json, text/plain, */*", "", "application/json"),
        ("text/plain;q=0.5, application/json", "", "application/json"),
        ("text/plain;q=0, application/openmetrics-text;q=x", "", "application/json"),
        ("text/plain", "", "text/plain"),
        ("TEXT/PLAIN; version=0.0.4", "", "text/plain"),
        ("application/json;q=0.1, text/plain;q=0.2", "", "text/plain"),
        (PROMETHEUS_3, "", "application/openmetrics-text"),
        (PROMETHEUS_3, "?format=json", "application/json"),
        ("*/*", "?format=prometheus", "text/plain"),
    ],
)
async def test_the_accept_header_chooses_the_format(
    client: Client, accept: str, query: str, expected: str
) -> None:
    async with client.get("/metrics" + query, headers={"Accept": accept}) as response:
        assert (response.status, kind(response)) == (200, expected)


async def test_an_empty_ledger_answers_zeros(client: Client) -> None:
    body = await get_json(client)
    assert body["totals"]["requests"] == body["totals"]["cost_usd"] == 0
    assert body["totals"]["total_ms"] == {"mean": None, "p50": None, "p95": None, "p99": None}
    assert (body["groups"], body["series"], body["stale"]) == ([], [], False)
    assert (body["since"], body["until"]) == (None, "2026-01-10T12:00:00.000Z")


async def test_totals_groups_and_series_stand_side_by_side(
    client: Client, database: Database
) -> None:
    await add_exchange(database, started_at="2026-01-10T10:00:00.000Z")
    request = await add_request(database, started_at="2026-01-10T11:00:00.000Z", category="tools")
    await add_attempt(database, request, model=AURORA, outcome="failed", cost_nanousd=0)
    await add_attempt(database, request, seq=2, model=KIMI, cost_nanousd=1_000_000)
    body = await get_json(client, group_by="model,category", bucket="hour")
    assert body["totals"]["requests"] == 2
    assert (body["totals"]["cost_usd"], body["totals"]["cost_nanousd"]) == (0.002, 2_000_000)
    assert [(g["model"], g["category"], g["cost_usd"]) for g in body["groups"]] == [
        (GLM, "code", 0.001),
        (KIMI, "tools", 0.001),
        (AURORA, "tools", 0.0),
    ]
    assert [(s["hour"], s["requests"]) for s in body["series"]] == [
        ("2026-01-10T10:00:00.000Z", 1),
        ("2026-01-10T11:00:00.000Z", 1),
    ]
    assert body["groups"][0]["time_to_first_chunk_ms"]["p95"] == 90


async def test_a_period_may_be_relative_to_now(client: Client, database: Database) -> None:
    for at in ("2026-01-09T11:59:59.999Z", "2026-01-09T12:00:00.000Z"):
        await add_request(database, started_at=at)
    body = await get_json(client, since="24h")
    assert body["since"] == "2026-01-09T12:00:00.000Z"
    assert body["totals"]["requests"] == 1


@pytest.mark.parametrize(
    ("query", "param", "says"),
    [
        ("since=yesterday", "since", "24h"),
        ("until=99999999d", "until", "24h"),
        ("since=1h&until=2h", "since", "must lie before"),
        ("since=1h&until=1h", "since", "must lie before"),
        ("group_by=model,colour", "group_by", "category, model, provider"),
        ("group_by=category&group_by=colour", "group_by", "'colour'"),
        ("bucket=minute", "bucket", "hour, day"),
        ("format=xml", "format", "json, prometheus"),
        ("groupby=model", "groupby", "group_by"),
        ("group_by=' OR 1=1--", "group_by", "is not one of"),
    ],
)
async def test_a_bad_parameter_is_named_with_what_is_allowed(
    client: Client, query: str, param: str, says: str
) -> None:
    """T01: what to group by is chosen from a closed list."""
    async with client.get("/metrics?" + query) as response:
        error = (await response.json())["error"]
    assert (error["code"], error["type"], error["param"]) == (400, "invalid_request", param)
    assert says in error["message"]


async def test_the_router_block_is_about_this_process(client: Client, clock: FakeClock) -> None:
    clock.now += 90
    router = (await get_json(client))["router"]
    assert router["uptime_s"] == 90.0
    assert (router["in_flight"], router["journal_backlog_bytes"]) == (0, 0)


async def test_equal_questions_that_come_together_are_asked_twice_at_most() -> None:
    """The first may have begun before the last one's request had its row."""
    answers = Answers(SystemClock())
    asked = 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return asked

    async def get() -> tuple[int, bool]:
        return await answers.get("question", ask)

    assert await asyncio.gather(*(get() for _ in range(100))) == [(1, False)] + [(2, False)] * 99
    assert await get() == (3, False)


async def test_what_is_journaled_already_is_counted(client: Client) -> None:
    """Whoever asks after an answer came finds it, whether its row was there or not."""
    assert client.app is not None
    assert (await get_json(client))["totals"]["in_flight"] == 0
    client.app[JOURNAL].append(request_started("req-1"))
    assert (await get_json(client))["totals"]["in_flight"] == 1


async def test_the_last_numbers_are_repeated_while_the_database_is_silent(
    client: Client, database: Database, clock: FakeClock
) -> None:
    """F86: metrics say that they are stale."""
    await add_request(database)
    await get_json(client)
    assert "llm_router_metrics_stale 0.0" in await get_text(client)
    await break_database(database)
    body = await get_json(client)
    assert (body["stale"], body["totals"]["requests"]) == (True, 1)
    text = await get_text(client)
    assert "llm_router_metrics_stale 1.0" in text
    assert 'llm_router_requests_total{category="code"' in text
    async with client.get("/metrics?since=1h") as response:
        assert response.status == 503
        assert (await response.json())["error"]["type"] == "unavailable"


async def test_that_the_database_never_answered_is_told_as_well(
    client: Client, database: Database
) -> None:
    """F88 F89: whoever is to be alarmed by it asks for nothing else."""
    await break_database(database)
    text = await get_text(client)
    assert "llm_router_metrics_stale 1.0" in text
    assert "llm_router_database_failing 0.0" in text
    assert "llm_router_requests_total" not in text


async def test_only_so_many_answers_are_kept(clock: FakeClock) -> None:
    """T23: made-up questions do not fill the memory."""
    answers = Answers(clock)

    async def ask(number: int) -> int:
        return number

    async def fail() -> int:
        raise StorageError("locked")

    for number in (*range(MAX_KEPT), 0, MAX_KEPT):
        assert await answers.get(number, partial(ask, number)) == (number, False)
    with pytest.raises(Unavailable, match="locked"):
        await answers.get(1, fail)
    for number in (0, *range(2, MAX_KEPT + 1)):
        assert await answers.get(number, fail) == (number, True)


async def test_prometheus_text_has_every_family_with_its_values(
    client: Client, database: Database
) -> None:
    await add_exchange(database, total_ms=1000, time_to_first_chunk_ms=40)
    request = await add_request(database, category=None, outcome="failed", **UNKNOWN_COST)
    await add_attempt(
        database,
        request,
        kind="classifier",
        model="vendor/unheard-of",
        outcome="failed",
        error_class="transport",
        **UNKNOWN_COST,
    )
    await change(
        database, "INSERT INTO breakers (subject, state, since) VALUES (?, 'open', '2026')", AURORA
    )
    for subject in (AURORA, "gate:transport"):
        await change(
            database,
            "INSERT INTO breaker_transitions (at, subject, from_state, to_state, reason) "
            "VALUES ('2026', ?, 'closed', 'open', 'why')",
            subject,
        )
    lines = (await get_text(client)).splitlines()
    for line in (
        'llm_router_requests_total{category="code",classifier="keywords",outcome="completed"} 1.0',
        'llm_router_requests_total{category="none",classifier="keywords",outcome="failed"} 1.0',
        "llm_router_cost_unknown_requests 1.0",
        f'llm_router_cost_usd_total{{model="{GLM}"}} 0.001',
        f'llm_router_tokens_total{{model="{GLM}",type="cached"}} 4.0',
        'llm_router_time_to_first_chunk_seconds_bucket{category="code",le="0.025"} 0.0',
        'llm_router_time_to_first_chunk_seconds_bucket{category="code",le="0.05"} 1.0',
        'llm_router_request_duration_seconds_bucket{category="code",le="+Inf"} 1.0',
        'llm_router_request_duration_seconds_count{category="code"} 1.0',
        'llm_router_request_duration_seconds_sum{category="code"} 1.0',
        'llm_router_overhead_seconds_sum{category="code"} 0.001',
        f'llm_router_breaker_state{{model="{GLM}"}} 0.0',
        f'llm_router_breaker_state{{model="{AURORA}"}} 2.0',
        'llm_router_gate_state{gate="account"} 0.0',
        f'llm_router_breaker_transitions_total{{from="closed",model="{AURORA}",to="open"}} 1.0',
        'llm_router_gate_transitions_total{from="closed",gate="transport",to="open"} 1.0',
        "llm_router_in_flight_requests 2.0",
        "llm_router_journal_backlog_bytes 30.0",
        "llm_router_journal_dropped_frames_total 0.0",
    ):
        assert line in lines
    [attempt] = [line for line in lines if 'model="other"' in line and "attempts_total" in line]
    assert attempt == (
        'llm_router_attempts_total{error_class="transport",kind="classifier",model="other",'
        'outcome="failed"} 1.0'
    )
    assert [line for line in lines if line.startswith("llm_router_build_info{")]


async def test_the_model_that_classifies_has_a_label_though_no_chain_names_it(
    client: Client, database: Database
) -> None:
    """T26"""
    request = await add_request(database)
    model = Settings().classifier.api_model
    await add_attempt(database, request, kind="classifier", model=model)
    assert f'kind="classifier",model="{model}",outcome="completed"}} 1.0' in await get_text(client)


async def test_the_age_of_the_prices_shows_once_there_are_any(
    client: Client, clock: FakeClock
) -> None:
    """F46"""
    assert "llm_router_model_list_age_seconds" not in await get_text(client)
    assert client.app is not None
    client.app[CATALOG].current = Catalog(fetched_at=clock.now - 7200)
    assert "llm_router_model_list_age_seconds 7200.0" in await get_text(client)


async def test_prometheus_text_follows_the_naming_rules(client: Client, database: Database) -> None:
    """What `promtool check metrics` asks: HELP and TYPE, base units, _total for counters only."""
    await add_exchange(database)
    text = await get_text(client)
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)) >= 15
    for family in families:
        assert re.fullmatch(r"llm_router_[a-z][a-z_]*", family.name)
        assert family.documentation.endswith(".")
        assert family.type in ("counter", "gauge", "histogram")
        assert not re.search(r"_(total|count|sum|bucket)$", family.name)
        assert not re.search(r"milli|nano|minute|hour|kilo", family.name)
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")
    samples = [line.rpartition(" ")[0] for line in text.splitlines() if line[0] != "#"]
    assert len(samples) == len(set(samples))
    assert text.count("# HELP") == text.count("# TYPE") == len(families)


async def test_openmetrics_ends_as_it_must(client: Client, database: Database) -> None:
    await add_exchange(database)
    async with client.get("/metrics", headers={"Accept": PROMETHEUS_3}) as response:
        text = await response.text()
    assert text.endswith("# EOF\n")
    assert f'llm_router_cost_usd_total{{model="{GLM}"}} 0.001' in text


async def test_made_up_models_add_no_series(client: Client, database: Database) -> None:
    """T26: the number of series does not depend on what clients send."""

    def attempts(db: sqlite3.Connection) -> None:
        db.executemany(
            "INSERT INTO attempts (id, request_id, seq, kind, model, started_at, process) "
            "VALUES (?, 'r', 1, 'chat', ?, '2026-01-10T12:00:00.000Z', 'p')",
            [(f"a{number}", f"vendor/{number}") for number in range(2000)],
        )
        db.execute("UPDATE attempts SET outcome = 'completed'")

    await database.transact(attempts)
    text = await get_text(client)
    assert text.count("llm_router_attempts_total{") == 1
    assert 'model="other",outcome="completed"} 2000.0' in text


async def test_a_list_of_groups_that_was_cut_says_so(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_router.storage.reports.MAX_GROUPS", 2)
    monkeypatch.setattr("llm_router.web.metrics.MAX_GROUPS", 2)
    for category in ("code", "tools", "reasoning"):
        await add_request(database, category=category)
    body = await get_json(client, group_by="category")
    assert (len(body["groups"]), body["is_truncated"]) == (2, True)
    assert "is_truncated" not in await get_json(client, bucket="day")


async def test_what_waits_and_what_fails_shows(client: Client, tmp_path: Path) -> None:
    """F73 F84 F86 F87: one number for each."""
    app = client.app
    assert app is not None
    text = await get_text(client)
    assert "llm_router_loop_blocks_total 4.0" in text
    assert "llm_router_journal_bytes 0.0" in text
    assert "llm_router_journal_failing 0.0" in text
    assert "llm_router_database_failing 0.0" in text
    wal = tmp_path / "router.db-wal"
    assert f"llm_router_database_wal_bytes {float(wal.stat().st_size)}" in text
    app[JOURNAL].append(request_started())
    app[WATCHDOG].blocks += 1
    cast("Ingestor", app[INGESTOR]).is_failing = True
    text = await get_text(client)
    [segment] = segments.listed(tmp_path / "router.db-journals")
    size = (tmp_path / "router.db-journals" / segment.name).stat().st_size
    assert f"llm_router_journal_bytes {float(size)}" in text
    assert "llm_router_loop_blocks_total 5.0" in text
    assert "llm_router_database_failing 1.0" in text
