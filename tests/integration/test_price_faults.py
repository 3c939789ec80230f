"""A model list that is missing, broken or odd: answers go on, and no cost is made up."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from llm_router.demo.models import MODELS, DemoModel
from llm_router.demo.upstream import DemoUpstream
from tests.integration.client import chat
from tests.integration.conftest import Router, Start

GLM = "z-ai/glm-5"

NO_LISTS: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "a page": {"html": True},
    "another shape": {"text": "[]"},
    "no JSON": {"text": "{"},
    "entries that are none": {"text": '{"data":[{"id":5},"x",null]}'},
}


async def cost_of_one(router: Router, model: str = GLM) -> tuple[int | None, str]:
    """Ask a model whose answer does not say its cost; return what is booked."""
    assert (await chat(router.url, model=model)).status == 200
    *_, attempt = await router.rows("attempts")
    return attempt["cost_nanousd"], attempt["cost_source"]


async def until_listed_again(upstream: DemoUpstream, times: int) -> None:
    """Wait until the list has been fetched so many times more, the first of them from now on."""

    def fetched() -> int:
        return sum(call.path.endswith("/models") and call.finished for call in upstream.requests)

    # One may be under way that was answered before now.
    goal = fetched() + times + 1
    await upstream.until(lambda: fetched() >= goal)


@pytest.mark.parametrize("how", NO_LISTS.values(), ids=NO_LISTS.keys())
async def test_without_a_list_every_model_is_tried_and_an_unsaid_cost_is_unknown(
    start: Start, upstream: DemoUpstream, how: dict[str, Any]
) -> None:
    """F46: NULL, never 0; a cost that upstream says needs no list."""
    upstream.fail("/models", **how)
    async with start() as router:
        assert (await chat(router.url)).status == 200
        [row] = await router.rows()
        assert (row["cost_nanousd"], row["cost_source"]) == (
            upstream.billed_usd * 10**9,
            "provider",
        )
        upstream.fail(GLM, usage="no_cost")
        assert await cost_of_one(router) == (None, "unknown")


@pytest.mark.parametrize(
    ("price", "expected"),
    [("0", (0, "computed")), ("-1", (None, "unknown"))],
    ids=["free", "without a price"],
)
async def test_free_is_zero_and_no_price_is_unknown(
    start: Start, upstream: DemoUpstream, price: str, expected: tuple[int | None, str]
) -> None:
    """F46"""
    odd = DemoModel("x/odd", "Odd", provider="X", slug="x/odd", prompt=price, completion=price)
    upstream.models.add(odd)
    upstream.fail("x/odd", usage="no_cost")
    async with start() as router:
        await router.until_listed()
        assert await cost_of_one(router, "x/odd") == expected


async def test_the_last_good_list_outlives_an_outage_and_a_restart(
    start: Start, upstream: DemoUpstream
) -> None:
    """F46"""
    upstream.fail(GLM, usage="no_cost")
    async with start(models={"refresh_s": 0.02}) as router:
        await router.until_listed()
        priced = await cost_of_one(router)
        assert priced == (int(upstream.billed_usd * 10**9), "computed")
        upstream.fail("/models", status=500)
        await until_listed_again(upstream, 1)
        assert await cost_of_one(router) == priced
    async with start() as router:
        assert await cost_of_one(router) == priced


async def test_a_price_that_leaps_is_believed_when_it_is_said_twice(
    start: Start, upstream: DemoUpstream
) -> None:
    """F46: a thousand times dearer is more likely a mistake."""
    glm = next(model for model in MODELS if model.id == GLM)
    dear = replace(
        glm,
        prompt=str(Decimal(glm.prompt) * 1000),
        completion=str(Decimal(glm.completion) * 1000),
    )
    upstream.fail(GLM, usage="no_cost")
    async with start(models={"refresh_s": 0.02}) as router:
        await router.until_listed()
        usual, _ = await cost_of_one(router)
        assert usual is not None
        upstream.fail("/models", text=json.dumps({"data": [dear.listing()]}), times=1)
        await until_listed_again(upstream, 2)
        assert await cost_of_one(router) == (usual, "computed")
        upstream.models.add(dear)
        await until_listed_again(upstream, 3)
        assert await cost_of_one(router) == (usual * 1000, "computed")
