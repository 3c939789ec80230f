"""GET /v1/models beside the chat route: what is listed is what a call accepts."""

import asyncio
from typing import Any

import pytest

from llm_router.demo.upstream import DemoUpstream
from tests.integration.client import chat
from tests.integration.conftest import Router, Start

AURORA = "openrouter/aurora-alpha"
ALIASES = {"aurora-alpha", "kimi-k2.5", "glm-5", "gpt-4o-mini"}
NAMES = {"router", "router/tools", "router/code", "router/reasoning", "router/conversation"}


async def listed(router: Router, path: str = "/v1/models") -> dict[str, Any]:
    answer = await router.get(path)
    assert answer["object"] == "list"
    assert answer["total_count"] == len(answer["data"])
    assert answer["links"] == {"next": None}
    return {model["id"]: model for model in answer["data"]}


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
async def test_the_router_its_categories_and_the_aliases_are_listed(
    router: Router, path: str
) -> None:
    await router.until_listed()
    models = await listed(router, path)
    assert models.keys() == NAMES | ALIASES
    # What every candidate of the chain can take.
    assert models["router/code"]["context_length"] == 128_000
    assert models["glm-5"]["context_length"] == 202_752
    assert models["glm-5"]["pricing"]["prompt"] == "0.0000006"
    for name, model in models.items():
        assert await router.get(f"{path}/{name}") == model


async def test_a_model_that_went_is_neither_listed_nor_looked_up(
    start: Start, upstream: DemoUpstream
) -> None:
    upstream.models.retire(AURORA)
    async with start() as router:
        await router.until_listed()
        assert (await listed(router)).keys() == NAMES | ALIASES - {"aurora-alpha"}
        answer = await router.send("GET", "/v1/models/aurora-alpha", status=404)
        assert answer["error"]["type"] == "model_not_found"
        # Its chains go on without it, at no cost.
        reply = await chat(router.url, model="router/reasoning")
        assert reply.headers["x-router-model"] == "z-ai/glm-5"
        assert reply.headers["x-router-attempts"] == "1"


async def test_a_new_category_is_listed_at_once(router: Router) -> None:
    body = {"name": "poems", "models": ["glm-5"], "description": "Verse of any kind"}
    await router.send("POST", "/config/category", body)
    model = (await listed(router))["router/poems"]
    assert model["description"].startswith("Verse of any kind")
    await router.send("DELETE", "/config/category/poems")
    assert "router/poems" not in await listed(router)


async def test_where_models_cannot_be_named_they_are_not_listed(
    start: Start, upstream: DemoUpstream
) -> None:
    async with start(models={"direct": False}) as router:
        assert (await listed(router)).keys() == NAMES
        for name in ("glm-5", "z-ai/glm-5"):
            reply = await chat(router.url, model=name)
            assert (reply.status, reply.error["type"]) == (404, "model_not_found")
        for name in NAMES:
            assert (await chat(router.url, model=name)).status == 200
    assert len(upstream.calls()) == len(NAMES)


@pytest.mark.parametrize(
    ("asked", "category"),
    [
        ("router", "conversation"),
        ("auto", "conversation"),
        ("openclaw/router", "conversation"),
        ("router/reasoning", "reasoning"),
        ("glm-5", "direct"),
        ("z-ai/glm-5", "direct"),
        ("z-ai/glm-5:nitro", "direct"),
    ],
)
async def test_every_way_to_name_a_model(router: Router, asked: str, category: str) -> None:
    reply = await chat(router.url, "Hi", model=asked)
    assert reply.status == 200
    assert reply.headers["x-router-category"] == category
    [row] = await router.rows()
    assert (row["requested_model"], row["category"]) == (asked, category)


@pytest.mark.parametrize("asked", ["gpt-4o-mni", "router/cod", "glm5", "a b", "x" * 300])
async def test_another_name_is_not_found_and_near_ones_are_told(
    router: Router, upstream: DemoUpstream, asked: str
) -> None:
    """F60"""
    reply = await chat(router.url, model=asked)
    assert (reply.status, reply.error["type"]) == (404, "model_not_found")
    near = {"gpt-4o-mni": "gpt-4o-mini", "router/cod": "router/code", "glm5": "glm-5"}
    if asked in near:
        assert near[asked] in reply.error["metadata"]["near"]
        assert near[asked] in reply.error["message"]
    assert len(reply.error["message"]) < 300
    assert not upstream.calls()


async def test_the_list_is_there_before_upstream_has_answered(
    start: Start, upstream: DemoUpstream
) -> None:
    """F46: a slow list keeps nobody waiting."""
    release = asyncio.Event()
    upstream.fail("/models", stall=-1, release=release)
    async with start() as router:
        models = await listed(router)
        assert models.keys() == NAMES | ALIASES
        assert models["glm-5"]["pricing"] == {"prompt": "-1", "completion": "-1"}
        assert (await chat(router.url)).status == 200
        release.set()
        await router.until_listed()
        assert (await listed(router))["glm-5"]["pricing"]["prompt"] == "0.0000006"
