"""The numbers after real traffic: they are the ledger's, in every form and after a restart."""

from collections import Counter
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from llm_router.demo.upstream import DemoUpstream
from tests.integration.client import calling, chat, chat_body, request
from tests.integration.conftest import Router, Start

GLM, AURORA, MINI = "z-ai/glm-5", "openrouter/aurora-alpha", "openai/gpt-4o-mini"
BREAKER = {"failures": 1}


async def traffic(router: Router, upstream: DemoUpstream) -> list[dict[str, Any]]:
    """Make one request of every outcome, and one that falls back; return their rows."""
    upstream.generations.polls = 10**6  # costs that are not known stay so
    assert (await chat(router.url)).status == 200
    assert (await chat(router.url, stream=True)).is_whole
    upstream.fail("kimi-k2.5", status=500)
    assert (await chat(router.url, model="moonshotai/kimi-k2.5")).status == 502
    upstream.fail(AURORA, drop=2, times=1)
    assert not (await chat(router.url, model=AURORA, stream=True)).is_whole
    upstream.hold(MINI, at=2, times=1)
    async with calling(router.url) as caller:
        caller.writer.write(request(chat_body(model=MINI, stream=True)))
        await caller.until(b"data: {")
    await router.until_settled(5)
    upstream.fail(GLM, status=503, times=1)
    assert (await chat(router.url, model="router")).status == 200
    return await router.until_settled(6)


def known(rows: list[dict[str, Any]]) -> int:
    return sum(row["cost_nanousd"] or 0 for row in rows)


def unknown(rows: list[dict[str, Any]]) -> int:
    return sum(row["cost_nanousd"] is None for row in rows)


Samples = dict[str, float]


def sample(name: str, **labels: str) -> str:
    return name + str(sorted(labels.items()))


async def scrape(router: Router) -> Samples:
    """Return every sample by its name and labels."""
    async with router.http.get(f"{router.url}/metrics?format=prometheus") as response:
        assert response.status == 200
        families = text_string_to_metric_families(await response.text())
        samples = (each for family in families for each in family.samples)
        return {sample(each.name, **each.labels): each.value for each in samples}


def named(samples: Samples, *names: str) -> Samples:
    return {key: value for key, value in samples.items() if key.partition("[")[0] in names}


@pytest.mark.parametrize("key", ["category", "outcome", "classifier", "key", "hour", "day"])
async def test_groups_of_requests_sum_up_to_the_ledger(
    start: Start, upstream: DemoUpstream, key: str
) -> None:
    async with start(breaker=BREAKER) as router:
        rows = await traffic(router, upstream)
        shown = await router.get(f"/metrics?group_by={key}")
    totals = shown["totals"]
    outcomes = Counter(row["outcome"] for row in rows)
    assert outcomes == {"completed": 3, "failed": 1, "truncated": 1, "abandoned": 1}
    assert {name: totals[name] for name in outcomes} == outcomes
    assert totals["requests"] == len(rows)
    assert totals["attempts"] == sum(row["attempts"] for row in rows)
    assert totals["fallbacks"] == 1
    assert totals["cost_nanousd"] == known(rows) > 0
    assert totals["cost_unknown_requests"] == unknown(rows) == 2
    for name in ("requests", "attempts", "cost_nanousd", "completion_tokens"):
        assert sum(group[name] for group in shown["groups"]) == totals[name]
    columns = {"key": "client_key"}
    if key not in ("hour", "day"):
        column = columns.get(key, key)
        counted = Counter(row[column] for row in rows)
        assert {group[key]: group["requests"] for group in shown["groups"]} == counted


@pytest.mark.parametrize("key", ["model", "provider"])
async def test_groups_of_calls_charge_each_model_its_own(
    start: Start, upstream: DemoUpstream, key: str
) -> None:
    async with start(breaker=BREAKER) as router:
        await traffic(router, upstream)
        attempts = await router.rows("attempts")
        groups = (await router.get(f"/metrics?group_by={key}"))["groups"]
    assert {g[key]: g["attempts"] for g in groups} == Counter(a[key] for a in attempts)
    assert sum(g["cost_nanousd"] for g in groups) == known(attempts)


async def test_several_keys_and_a_period_go_together(router: Router) -> None:
    for text in ("Write a python function that adds", "Why is the sky blue?"):
        assert (await chat(router.url, text, model="router")).status == 200
    await router.until_settled(2)
    shown = await router.get("/metrics?group_by=category,outcome&since=1h&bucket=hour")
    pairs = {(g["category"], g["outcome"]): g["requests"] for g in shown["groups"]}
    assert pairs == {("code", "completed"): 1, ("reasoning", "completed"): 1}
    assert sum(each["requests"] for each in shown["series"]) == 2
    before = await router.get("/metrics?until=2020-01-01")
    assert before["totals"]["requests"] == 0


async def test_prometheus_counts_what_the_ledger_holds(
    start: Start, upstream: DemoUpstream
) -> None:
    async with start(breaker=BREAKER) as router:
        rows = await traffic(router, upstream)
        attempts = await router.rows("attempts")
        found = await scrape(router)
        again = await scrape(router)
    assert found.keys() == again.keys()
    keys = ("category", "outcome", "classifier")
    counted = Counter(sample("llm_router_requests_total", **{k: r[k] for k in keys}) for r in rows)
    assert named(found, "llm_router_requests_total") == counted
    for model in (GLM, AURORA, MINI):
        own = [attempt for attempt in attempts if attempt["model"] == model]
        cost = found[sample("llm_router_cost_usd_total", model=model)]
        assert cost == pytest.approx(known(own) / 1e9)
        tokens = found[sample("llm_router_tokens_total", model=model, type="completion")]
        assert tokens == sum(attempt["completion_tokens"] or 0 for attempt in own)
    assert sum(named(found, "llm_router_attempts_total").values()) == len(attempts)
    assert found[sample("llm_router_cost_unknown_requests")] == unknown(rows)
    assert found[sample("llm_router_breaker_state", model=GLM)] == 2
    assert found[sample("llm_router_breaker_state", model=MINI)] == 0
    assert found[sample("llm_router_in_flight_requests")] == 0
    ended = named(found, "llm_router_request_duration_seconds_count")
    assert sum(ended.values()) == len(rows)


async def test_what_is_in_flight_is_a_gauge_and_in_no_counter(
    router: Router, upstream: DemoUpstream
) -> None:
    upstream.hold(GLM, at=2)
    async with calling(router.url) as caller:
        caller.writer.write(request(chat_body(stream=True)))
        await caller.until(b"data: {")
        await router.rows()
        found = await scrape(router)
        shown = await router.get("/metrics")
    assert found[sample("llm_router_in_flight_requests")] == 1
    assert not named(found, "llm_router_requests_total")
    assert (shown["totals"]["in_flight"], shown["router"]["in_flight"]) == (1, 1)


async def test_numbers_outlive_the_process(start: Start, upstream: DemoUpstream) -> None:
    async with start(breaker=BREAKER) as router:
        await traffic(router, upstream)
        before, counters = (await router.get("/metrics"))["totals"], await scrape(router)
    async with start(breaker=BREAKER) as router:
        assert (await router.get("/metrics"))["totals"] == before
        after = await scrape(router)
    own = ("llm_router_requests_total", "llm_router_cost_usd_total", "llm_router_tokens_total")
    assert named(after, *own) == named(counters, *own)
    assert len(named(after, *own)) > len(own)


@pytest.mark.usefixtures("eager_reconciler")
async def test_a_cost_that_becomes_known_is_counted_once(
    router: Router, upstream: DemoUpstream
) -> None:
    upstream.fail(GLM, drop=3)
    await chat(router.url, stream=True)
    row = await router.until_priced()
    found = await scrape(router)
    cost = found[sample("llm_router_cost_usd_total", model=GLM)]
    assert cost == pytest.approx(row["cost_nanousd"] / 1e9)
    assert found[sample("llm_router_cost_unknown_requests")] == 0


# Single rows


async def test_an_answers_id_leads_to_its_row(router: Router, upstream: DemoUpstream) -> None:
    upstream.fail(GLM, status=500)
    reply = await chat(router.url)
    await router.rows()
    shown = await router.get(f"/requests/{reply.headers['x-router-request-id']}")
    assert (shown["outcome"], shown["attempt_count"]) == ("completed", 2)
    assert [(a["model"], a["outcome"]) for a in shown["attempts"]] == [
        (GLM, "failed"),
        (AURORA, "completed"),
    ]
    assert shown["served_model"] == reply.headers["x-router-model"] == AURORA


async def test_rows_are_filtered_and_paged_newest_first(
    start: Start, upstream: DemoUpstream
) -> None:
    async with start(breaker=BREAKER) as router:
        rows = await traffic(router, upstream)
        ids = [row["id"] for row in rows][::-1]
        first = await router.get("/requests?limit=4")
        rest = await router.get(f"/requests?limit=4&cursor={first['next']}")
        assert [row["id"] for row in (*first["requests"], *rest["requests"])] == ids
        assert rest["next"] is None
        for outcome, count in (("completed", 3), ("failed", 1), ("lost", 0)):
            found = await router.get(f"/requests?outcome={outcome}")
            assert len(found["requests"]) == count
        found = await router.get("/requests?model=gpt-4o-mini&category=direct")
        assert [row["outcome"] for row in found["requests"]] == ["abandoned"]
