"""The ledger summed up, from raw rows and from rollups."""

import pytest

from llm_router.ledger.period import ALL_TIME, Period
from llm_router.ledger.report import KEYS, NOTHING, Group
from llm_router.storage.reports import report, totals
from llm_router.storage.rollup import roll_up
from llm_router.storage.sqlite import Database
from tests.fakes.ledger import (
    AURORA,
    GLM,
    IN_FLIGHT,
    KIMI,
    UNKNOWN_COST,
    add_attempt,
    add_exchange,
    add_request,
    change,
)

LATER = "2027-01-01T00:00:00.000Z"


def by(key: str, groups: list[Group]) -> dict[str | None, Group]:
    return {group.keys[key]: group for group in groups}


async def test_an_empty_ledger_adds_up_to_nothing(database: Database) -> None:
    assert await totals(database, ALL_TIME) == NOTHING
    assert await report(database, ALL_TIME, ("model",)) == []


async def test_totals_count_every_outcome_and_sum_tokens_and_cost(database: Database) -> None:
    for outcome in ("completed", "completed", "failed", "truncated", "abandoned", "lost"):
        await add_request(database, outcome=outcome)
    await add_request(database, **IN_FLIGHT)
    await add_request(database, attempts=3, **UNKNOWN_COST)
    total = await totals(database, ALL_TIME)
    assert total.counts == {
        "requests": 8,
        "in_flight": 1,
        "completed": 3,
        "failed": 1,
        "truncated": 1,
        "abandoned": 1,
        "lost": 1,
        "attempts": 10,
        "fallbacks": 2,
        "prompt_tokens": 80,
        "completion_tokens": 160,
        "cached_tokens": 32,
        "reasoning_tokens": 40,
    }
    assert (total.cost_nanousd, total.cost_unknown) == (6_000_000, 1)


async def test_percentiles_are_the_nearest_rank(database: Database) -> None:
    for ms in range(1, 101):
        await add_request(database, total_ms=ms, time_to_first_chunk_ms=None, overhead_ms=7)
    latency = (await totals(database, ALL_TIME)).latency
    assert latency["total_ms"].as_json() == {"mean": 50.5, "p50": 50, "p95": 95, "p99": 99}
    assert latency["overhead_ms"].p99 == 7
    assert latency["time_to_first_chunk_ms"].as_json() == dict.fromkeys(
        ("mean", "p50", "p95", "p99")
    )


async def test_percentiles_are_of_the_newest_rows(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_router.storage.percentiles.SAMPLE", 2)
    for hour, ms in (("03", 2), ("01", 900), ("02", 1)):
        await add_request(database, started_at=f"2026-01-10T{hour}:00:00.000Z", total_ms=ms)
    assert (await totals(database, ALL_TIME)).latency["total_ms"].p99 == 2


async def test_groups_of_equal_cost_come_in_the_order_of_their_size(database: Database) -> None:
    for category in ("code", "tools", "tools"):
        await add_request(database, category=category, cost_nanousd=0)
    await add_request(database, category="reasoning", cost_nanousd=5_000_000_000)
    groups = await report(database, ALL_TIME, ("category",))
    assert [group.keys["category"] for group in groups] == ["reasoning", "tools", "code"]


async def test_a_failed_try_costs_its_own_model(database: Database) -> None:
    request = await add_request(database, attempts=2, cost_nanousd=4_000_000)
    await add_attempt(database, request, kind="classifier", model=KIMI, cost_nanousd=500_000)
    await add_attempt(
        database, request, seq=2, model=AURORA, outcome="failed", cost_nanousd=1_000_000
    )
    await add_attempt(database, request, seq=3, model=GLM, cost_nanousd=2_500_000)
    models = by("model", await report(database, ALL_TIME, ("model",)))
    assert list(models) == [GLM, AURORA, KIMI]  # the dearest first
    assert {model: group.cost_nanousd for model, group in models.items()} == {
        GLM: 2_500_000,
        AURORA: 1_000_000,
        KIMI: 500_000,
    }
    counts = {
        model: (g.counts["attempts"], g.counts["requests"], g.counts["fallbacks"])
        for model, g in models.items()
    }
    assert counts == {GLM: (1, 1, 1), AURORA: (1, 0, 0), KIMI: (1, 0, 0)}
    assert models[AURORA].counts["failed"] == 1


async def test_keys_of_requests_and_of_calls_combine(database: Database) -> None:
    await add_exchange(database, category="code", provider="A")
    await add_exchange(database, category="tools", provider="B", client_key=None)
    groups = await report(database, ALL_TIME, KEYS)
    assert [dict(group.keys) for group in groups] == [
        {
            "category": category,
            "model": GLM,
            "provider": provider,
            "outcome": "completed",
            "classifier": "keywords",
            "key": key,
            "hour": "2026-01-10T12:00:00.000Z",
            "day": "2026-01-10",
        }
        for category, provider, key in (("code", "A", "laptop"), ("tools", "B", None))
    ]


async def test_percentiles_belong_to_their_group(database: Database) -> None:
    for model, ms in ((GLM, 10), (GLM, 20), (AURORA, 900)):
        await add_exchange(database, served_model=model, total_ms=ms)
    models = by("model", await report(database, ALL_TIME, ("model",)))
    assert models[GLM].latency["total_ms"].p99 == 20
    assert models[AURORA].latency["total_ms"].p50 == 900
    assert models[AURORA].latency["overhead_ms"].p50 is None


async def test_time_groups_come_in_the_order_of_time(database: Database) -> None:
    for at in ("2026-01-11T00:00:00.000Z", "2026-01-10T23:59:59.999Z", "2026-01-10T01:00:00.000Z"):
        await add_request(database, started_at=at)
    days = await report(database, ALL_TIME, ("day",))
    assert [(g.keys["day"], g.counts["requests"]) for g in days] == [
        ("2026-01-10", 2),
        ("2026-01-11", 1),
    ]
    hours = await report(database, ALL_TIME, ("hour",))
    assert [g.keys["hour"] for g in hours] == [
        "2026-01-10T01:00:00.000Z",
        "2026-01-10T23:00:00.000Z",
        "2026-01-11T00:00:00.000Z",
    ]


@pytest.mark.parametrize("is_rolled_up", [False, True], ids=["raw", "rolled up"])
async def test_a_period_is_exact_to_the_millisecond(database: Database, is_rolled_up: bool) -> None:
    times = [
        "2026-01-10T11:59:59.999Z",
        "2026-01-10T12:30:00.000Z",
        "2026-01-10T13:00:00.000Z",
        "2026-01-10T14:29:59.999Z",
        "2026-01-10T14:30:00.000Z",
    ]
    for at in times:
        await add_exchange(database, started_at=at)
    if is_rolled_up:
        assert await roll_up(database, LATER) == 4
    for since, until, expected in (
        (None, None, 5),
        ("2026-01-10T12:30:00.000Z", "2026-01-10T14:30:00.000Z", 3),
        ("2026-01-10T12:30:00.001Z", "2026-01-10T14:29:59.999Z", 1),
        ("2026-01-10T12:00:00.000Z", "2026-01-10T13:00:00.000Z", 1),
        ("2026-01-10T14:00:00.000Z", None, 2),
        (None, "2026-01-10T12:00:00.000Z", 1),
        ("2026-01-10T12:30:00.000Z", "2026-01-10T12:30:00.001Z", 1),
    ):
        span = Period(since, until)
        assert (await totals(database, span)).counts.get("requests", 0) == expected, span
        calls = await report(database, span, ("model",))
        assert sum(group.counts["attempts"] for group in calls) == expected, span


async def test_rolling_up_changes_no_answer(database: Database) -> None:
    for hour in range(5):
        for category in ("code", "tools", None):
            await add_exchange(
                database,
                started_at=f"2026-01-10T{hour:02}:10:00.000Z",
                category=category,
                served_model=GLM if hour % 2 else AURORA,
            )
    questions: list[tuple[str, ...]] = [(), ("category", "hour"), ("model", "category"), ("day",)]
    before = [await report(database, ALL_TIME, keys) for keys in questions]
    assert await roll_up(database, LATER) == 5
    assert [await report(database, ALL_TIME, keys) for keys in questions] == before
    [row] = await database.read("SELECT count(*) AS hours FROM stale_hours")
    assert row["hours"] == 0


async def test_an_hour_that_is_not_over_is_left_to_its_raw_rows(database: Database) -> None:
    await add_request(database, started_at="2026-01-10T12:00:00.000Z")
    assert await roll_up(database, "2026-01-10T12:59:59.999Z") == 0
    assert await roll_up(database, "2026-01-10T13:00:00.000Z") == 1


async def test_a_row_that_changes_after_its_hour_was_rolled_up_counts_as_it_is_now(
    database: Database,
) -> None:
    request = await add_request(database, **UNKNOWN_COST)
    attempt = await add_attempt(database, request, **UNKNOWN_COST)
    await roll_up(database, LATER)
    await change(database, "UPDATE attempts SET cost_nanousd = 7 WHERE id = ?", attempt)
    await change(database, "UPDATE requests SET cost_nanousd = 7 WHERE id = ?", request)
    for _ in range(2):
        total = await totals(database, ALL_TIME)
        assert (total.counts["requests"], total.cost_nanousd, total.cost_unknown) == (1, 7, 0)
        [model] = await report(database, ALL_TIME, ("model",))
        assert (model.counts["attempts"], model.cost_nanousd) == (1, 7)
        await roll_up(database, LATER)


async def test_calls_without_a_request_are_counted(database: Database) -> None:
    await add_attempt(database, "explained", kind="classifier", model=KIMI)
    [group] = await report(database, ALL_TIME, ("model", "category"))
    assert dict(group.keys) == {"model": KIMI, "category": None}
    assert (group.counts["attempts"], group.counts["requests"]) == (1, 0)
