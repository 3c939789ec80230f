"""Holding a model's breaker by hand, over HTTP."""

import pytest

from llm_router.demo.upstream import DemoUpstream
from tests.integration.client import chat
from tests.integration.conftest import Router, Start

GLM, AURORA = "z-ai/glm-5", "openrouter/aurora-alpha"
PATH = "/circuit-breaker/force/glm-5"


async def test_a_model_that_is_held_out_is_not_called_after_a_restart_either(
    start: Start, upstream: DemoUpstream
) -> None:
    async with start() as router:
        told = await router.send("POST", PATH, {"state": "open"})
        assert told == {"model": GLM, "forced": "open"}
        assert (await chat(router.url)).headers["x-router-model"] == AURORA
    async with start() as router:
        assert (await router.breaker(GLM))["forced"] == "open"
        reply = await chat(router.url, model=GLM)
        assert (reply.status, reply.error["type"]) == (503, "no_candidate")
        assert not upstream.calls(GLM)
        await router.send("POST", PATH, {"state": "off"})
        assert (await chat(router.url)).headers["x-router-model"] == GLM
        moves = (await router.get("/circuit-breaker"))["transitions"]
    assert [(move["from"], move["to"]) for move in moves] == [
        ("open", "closed"),
        ("closed", "open"),
    ]


async def test_a_model_that_is_held_in_is_called_whatever_it_does(
    router: Router, upstream: DemoUpstream
) -> None:
    await router.send("POST", PATH, {"state": "closed"})
    upstream.fail(GLM, status=500)
    for _ in range(5):
        assert (await chat(router.url)).headers["x-router-model"] == AURORA
    assert len(upstream.calls(GLM)) == 5
    await router.send("POST", "/circuit-breaker/reset/glm-5")
    assert (await router.breaker(GLM))["forced"] is None


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/circuit-breaker/force/nothing", {"state": "open"}, 404),
        ("/circuit-breaker/force/gate:account", {"state": "closed"}, 404),
        ("/circuit-breaker/force/all", {"state": "closed"}, 404),
        (PATH, {"state": "half_open"}, 400),
        (PATH, {"state": None}, 400),
        (PATH, {"state": "open", "for": 5}, 400),
        (PATH, {}, 400),
    ],
    ids=["unknown", "a gate", "all", "another state", "null", "another field", "no state"],
)
async def test_what_cannot_be_held_is_told_so(
    router: Router, path: str, body: object, status: int
) -> None:
    await router.send("POST", path, body, status=status)
    assert {view["forced"] for view in (await router.get("/circuit-breaker"))["breakers"]} == {None}
