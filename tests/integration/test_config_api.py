"""The configuration changed over HTTP, and what the very next request makes of it."""

from typing import Any

import pytest

from llm_router.demo.upstream import DemoUpstream
from tests.integration.client import calling, chat, chat_body, checked_error, request
from tests.integration.conftest import Router, Start, in_shared

GLM, AURORA, MINI = "z-ai/glm-5", "openrouter/aurora-alpha", "openai/gpt-4o-mini"
KIMI = "moonshotai/kimi-k2.5"
POEM = "Please write a sonnet on autumn"
POEMS = {"name": "poems", "models": ["kimi-k2.5", "glm-5"], "keywords": ["sonnet", "haiku"]}


async def routed(router: Router, text: str = POEM) -> tuple[str, str, str]:
    """Return category, classifier and model that a prompt comes to."""
    reply = await chat(router.url, text, model="router")
    assert reply.status == 200
    found = reply.headers
    return found["x-router-category"], found["x-router-classifier"], found["x-router-model"]


async def test_a_new_category_routes_with_the_next_request(
    router: Router, upstream: DemoUpstream
) -> None:
    before = await routed(router)
    assert before[0] != "poems"
    answer = await router.send("POST", "/config/category", POEMS)
    assert answer["category"]["keywords"] == ["sonnet", "haiku"]
    assert await routed(router) == ("poems", "keywords", KIMI)
    assert await routed(router, "A haiku, please") == ("poems", "keywords", KIMI)
    assert (await chat(router.url, "Hi", model="router/poems")).headers["x-router-model"] == KIMI
    upstream.fail(KIMI, status=500)
    assert await routed(router) == ("poems", "keywords", GLM)
    shown = await router.get("/config")
    assert shown["chains"]["poems"] == [KIMI, GLM]
    assert shown["categories"]["poems"]["builtin"] is False

    assert (await router.send("DELETE", "/config/category/poems"))["deleted"] == "poems"
    assert await routed(router) == before
    reply = await chat(router.url, "Hi", model="router/poems")
    assert (reply.status, reply.error["type"]) == (404, "model_not_found")


async def test_a_changed_category_keeps_what_was_not_given(router: Router) -> None:
    await router.send("POST", "/config/category", POEMS)
    await router.send("POST", "/config/category", {"name": "poems", "models": ["gpt-4o-mini"]})
    assert await routed(router) == ("poems", "keywords", MINI)
    change = {"name": "poems", "models": ["gpt-4o-mini"], "keywords": ["limerick"]}
    await router.send("POST", "/config/category", change)
    assert (await routed(router))[0] != "poems"
    assert await routed(router, "Write a limerick") == ("poems", "keywords", MINI)


async def test_keywords_of_a_built_in_category_add_to_what_it_knows(router: Router) -> None:
    change = {"name": "code", "models": ["glm-5"], "keywords": ["frobnicate"]}
    await router.send("POST", "/config/category", change)
    assert (await routed(router, "Please frobnicate it"))[0] == "code"
    assert (await routed(router, "Write a python function that adds"))[0] == "code"


async def test_a_mapping_changes_the_chain_of_the_next_request(
    router: Router, upstream: DemoUpstream
) -> None:
    body = {"category": "code", "models": ["moonshotai/kimi-k2.5", "gpt-4o-mini"]}
    await router.send("POST", "/config/model-mapping", body)
    upstream.fail(KIMI, status=500)
    reply = await chat(router.url, model="router/code")
    assert reply.headers["x-router-model"] == MINI
    assert [call.model for call in upstream.calls()] == [KIMI, MINI]


async def test_a_request_keeps_the_configuration_that_it_began_with(
    router: Router, upstream: DemoUpstream
) -> None:
    """F80: its fallback is still the old chain's; the next request has the new one."""
    release = upstream.hold(GLM, status=500)
    async with calling(router.url) as caller:
        caller.writer.write(request(chat_body()))
        await upstream.until(lambda: bool(upstream.calls()))
        await router.send(
            "POST", "/config/model-mapping", {"category": "code", "models": ["kimi-k2.5"]}
        )
        release.set()
        assert (await caller.reply()).headers["x-router-model"] == AURORA
    assert (await chat(router.url)).headers["x-router-model"] == KIMI


REFUSED: dict[str, tuple[str, str, Any, int, str]] = {
    "a built-in category deleted": ("DELETE", "/config/category/code", None, 409, "conflict"),
    "an unknown one deleted": ("DELETE", "/config/category/nothing", None, 404, "not_found"),
    "a reserved name": ("POST", "/config/category", {"name": "direct", "models": ["a/b"]}, 400,
                        "invalid_request"),
    "a name of other characters": ("POST", "/config/category",
                                   {"name": "Poems!", "models": ["a/b"]}, 400, "invalid_request"),
    "no models": ("POST", "/config/category", {"name": "poems", "models": []}, 400,
                  "invalid_request"),
    "an alias that is none": ("POST", "/config/category", {"name": "poems", "models": ["glm5"]},
                              400, "invalid_request"),
    "an unknown field": ("POST", "/config/category", {**POEMS, "priority": 1}, 400,
                         "invalid_request"),
    "a mapping of nothing": ("POST", "/config/model-mapping",
                             {"category": "nothing", "models": ["a/b"]}, 400, "unknown_category"),
    "a version that never was": ("POST", "/config/rollback/99", None, 404, "not_found"),
    "a breaker never seen": ("POST", "/circuit-breaker/reset/a/b", None, 404, "not_found"),
}  # fmt: skip


@in_shared
@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"), REFUSED.values(), ids=REFUSED.keys()
)
async def test_what_is_refused_changes_nothing(
    shared: Router, method: str, path: str, body: Any, status: int, kind: str
) -> None:
    """T35"""
    before = await shared.get("/config"), await shared.get("/config/history")
    error = checked_error(await shared.send(method, path, body, status=status), status)
    assert error["type"] == kind
    assert (await shared.get("/config"), await shared.get("/config/history")) == before


async def test_history_says_who_changed_what_and_there_is_a_way_back(router: Router) -> None:
    start = (await router.get("/config"))["version"]
    await router.send("POST", "/config/category", POEMS)
    await router.send(
        "POST", "/config/model-mapping", {"category": "poems", "models": ["gpt-4o-mini"]}
    )
    assert await routed(router) == ("poems", "keywords", MINI)
    newest, middle, oldest = (await router.get("/config/history"))["versions"]
    assert (oldest["version"], oldest["actor"]) == (start, "start")
    assert (middle["actor"], middle["action"]) == ("loopback", "category poems")
    assert newest["changes"] == [
        {
            "path": "categories.poems.models",
            "from": ["kimi-k2.5", "glm-5"],
            "to": ["gpt-4o-mini"],
        }
    ]
    assert oldest["at"] <= middle["at"] <= newest["at"]
    await router.send("POST", f"/config/rollback/{middle['version']}")
    assert await routed(router) == ("poems", "keywords", KIMI)
    await router.send("POST", f"/config/rollback/{start}")
    assert (await routed(router))[0] != "poems"
    versions = (await router.get("/config/history"))["versions"]
    assert [v["version"] for v in versions] == list(range(start + 4, start - 1, -1))


# Breakers


async def test_a_breaker_opens_after_three_failures_and_is_reset_by_name(
    router: Router, upstream: DemoUpstream
) -> None:
    upstream.fail(GLM, status=500)
    for _ in range(3):
        assert (await chat(router.url)).headers["x-router-attempts"] == "2"
    assert (await router.breaker(GLM))["state"] == "open"
    upstream.clear()
    assert (await chat(router.url)).headers["x-router-model"] == AURORA
    for name in ("glm-5", "z-ai/glm-5", "all"):
        answer = await router.send("POST", f"/circuit-breaker/reset/{name}")
        assert answer["reset"] == ("all" if name == "all" else GLM)
    assert (await chat(router.url)).headers["x-router-model"] == GLM
    moves = (await router.get("/circuit-breaker"))["transitions"]
    assert [(m["from"], m["to"]) for m in moves] == [("open", "closed"), ("closed", "open")]


async def test_all_lets_the_account_try_again_too(router: Router, upstream: DemoUpstream) -> None:
    """F11: for who has just put credit on it."""
    upstream.fail(status=402)
    assert (await chat(router.url)).status == 503
    upstream.clear()
    assert (await chat(router.url)).status == 503
    await router.send("POST", "/circuit-breaker/reset/all")
    assert (await chat(router.url)).status == 200


# Explaining


async def explain(router: Router, text: str, **fields: Any) -> dict[str, Any]:
    body = {"model": "router", "messages": [{"role": "user", "content": text}], **fields}
    return await router.send("POST", "/route/explain", body)


async def test_explaining_says_what_a_call_would_do_and_calls_nobody(
    start: Start, upstream: DemoUpstream
) -> None:
    upstream.models.retire(AURORA)
    upstream.fail(GLM, status=500, times=1)
    async with start(breaker={"failures": 1}) as router:
        await router.until_listed()
        assert (await chat(router.url)).headers["x-router-model"] == MINI
        made = len(upstream.calls())
        told = await explain(router, "Write a python function that adds two numbers")
        assert (told["category"], told["classifier"]) == ("code", "keywords")
        assert told["rule"]
        assert 0 < told["confidence"] <= 1
        fates = {candidate["model"]: candidate["fate"] for candidate in told["chain"]}
        assert fates[GLM] == "skipped: upstream_5xx (HTTP 500)"
        assert fates[AURORA].startswith("left out: gone")
        assert fates[MINI] == "first"
        assert told["model"] == MINI
        tool = {"type": "function", "function": {"name": "f"}}
        assert (await explain(router, "Hi", tools=[tool]))["classifier"] == "tools"
        assert (await explain(router, "Hi", model="gpt-4o-mini"))["category"] == "direct"
        assert len(upstream.calls()) == made
        assert len(await router.rows()) == 1


async def test_a_classifier_that_an_explanation_had_to_ask_is_booked(
    start: Start, upstream: DemoUpstream
) -> None:
    async with start(classifier={"mode": "api"}) as router:
        told = await explain(router, "Why is the sky blue?")
        assert (told["category"], told["classifier"]) == ("reasoning", "api")
        assert not await router.rows()
        [attempt] = await router.rows("attempts")
    assert (attempt["kind"], attempt["outcome"]) == ("classifier", "completed")
    assert attempt["cost_nanousd"] == upstream.billed_usd * 10**9
