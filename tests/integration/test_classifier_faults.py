"""A classifier that is down, slow or talks nonsense: no request fails for it."""

import asyncio
from typing import Any

import pytest

from llm_router.demo.behaviour import HEADERS
from llm_router.demo.upstream import DemoUpstream
from tests.integration.client import Reply, post
from tests.integration.conftest import PATIENCE_S, Router, Start, eventually

OLLAMA, API = "qwen2.5:0.5b", "qwen/qwen3-1.7b"
GLM = "z-ai/glm-5"
CODE = "Write a python function that adds two numbers"
# Nothing in it is sure.
OPEN = "Describe the moon and its phases in old calendars"

NONSENSE: dict[str, tuple[dict[str, Any], str]] = {
    "F42 queue full": ({"status": 503}, "HTTP 503"),
    "F42 out of memory": ({"status": 500}, "HTTP 500"),
    "F42 not pulled": ({"status": 404}, "model missing"),
    "F42 a page": ({"html": True}, "not an answer"),
    "F42 a reset": ({"drop": HEADERS}, "unreachable"),
    "F43 nonsense": ({"text": "I think it is about programming."}, "wrong label"),
    "F43 nothing": ({"empty": True}, "wrong label"),
    "F43 too much": ({"text": "code " * 20_000}, "answer too long"),
    "F43 a label of its own": ({"text": '{"category":"administration"}'}, "wrong label"),
    "F43 an injection": ({"text": '{"category":"code; DROP TABLE requests"}'}, "wrong label"),
    "F43 another shape": ({"text": '{"category":["code"]}'}, "wrong label"),
    "F43 silence": ({"stall": HEADERS}, "timeout"),
}


async def ask(router: Router, text: str) -> Reply:
    body = {"model": "router", "messages": [{"role": "user", "content": text}]}
    return await post(router.url, body)


def budget_ms(how: dict[str, Any]) -> int:
    """Short only where it has to run out."""
    return 150 if "stall" in how else 10_000


async def until_step(router: Router, name: str, state: str) -> None:
    async def is_there() -> bool:
        classifier = (await router.get("/health"))["classifier"]
        return bool(classifier["steps"][name] == state)

    await eventually(is_there)


async def skipped(router: Router) -> dict[str, int]:
    return dict((await router.get("/health"))["classifier"]["skipped"])


@pytest.mark.parametrize(("how", "reason"), NONSENSE.values(), ids=NONSENSE.keys())
async def test_what_ollama_says_wrong_is_counted_and_the_local_one_decides(
    start: Start, upstream: DemoUpstream, how: dict[str, Any], reason: str
) -> None:
    """F42 F43"""
    async with start(classifier={"mode": "ollama", "budget_ms": budget_ms(how)}) as router:
        await until_step(router, "ollama", "ok")
        upstream.fail(OLLAMA, **how)
        reply = await ask(router, CODE)
        assert reply.status == 200
        assert reply.headers["x-router-category"] == "code"
        assert reply.headers["x-router-classifier"] == "local"
        assert reply.headers["x-router-attempts"] == "1"
        assert await skipped(router) == {f"ollama: {reason}": 1}
        [row] = await router.rows()
        [attempt] = await router.rows("attempts")
    assert (row["outcome"], row["classifier"]) == ("completed", "local")
    assert attempt["kind"] == "chat"  # Ollama is no provider: it costs nothing and is not booked


@pytest.mark.parametrize(
    ("how", "reason", "outcome"),
    [
        ({"status": 500}, "HTTP 500", "failed"),
        ({"status": 502, "via": "body"}, "not an answer", "failed"),
        ({"html": True}, "not an answer", "failed"),
        ({"drop": HEADERS}, "broken answer", "failed"),
        ({"text": "perhaps code"}, "wrong label", "completed"),
        ({"text": '{"category":"administration"}'}, "wrong label", "completed"),
    ],
    ids=["500", "an error inside a 200", "a page", "a reset", "words", "its own label"],
)
async def test_what_the_api_classifier_says_wrong_is_booked_and_the_local_one_decides(
    start: Start, upstream: DemoUpstream, how: dict[str, Any], reason: str, outcome: str
) -> None:
    """F43: every call that was sent has its row, and its cost is the request's."""
    upstream.fail(API, **how)
    async with start(classifier={"mode": "api", "budget_ms": 10_000}) as router:
        reply = await ask(router, CODE)
        assert reply.status == 200
        assert reply.headers["x-router-category"] == "code"
        assert reply.headers["x-router-attempts"] == "1"
        assert await skipped(router) == {f"api: {reason}": 1}
        [row] = await router.rows()
        *_, asked, chat = await router.rows("attempts")  # a reset may also hit an idle connection
        assert {
            each["failures"] for each in (await router.get("/circuit-breaker"))["breakers"]
        } == {0}
    assert (asked["kind"], asked["model"], asked["outcome"]) == ("classifier", API, outcome)
    assert (chat["kind"], chat["model"], chat["outcome"]) == ("chat", GLM, "completed")
    assert row["completion_tokens"] == chat["completion_tokens"]
    if asked["cost_nanousd"] is None:
        assert row["cost_nanousd"] is None
    else:
        assert row["cost_nanousd"] == asked["cost_nanousd"] + chat["cost_nanousd"]


async def test_what_a_classifier_cost_that_was_too_late_is_booked_when_it_answers(
    start: Start, upstream: DemoUpstream
) -> None:
    """F43: nobody waits for it, but it is paid for."""
    release = upstream.hold(API)
    async with start(classifier={"mode": "api", "budget_ms": 50}) as router:
        reply = await ask(router, CODE)
        assert reply.status == 200
        assert reply.headers["x-router-classifier"] == "local"
        [row] = await router.rows()
        assert (row["outcome"], row["cost_nanousd"]) == ("completed", None)
        release.set()

        async def is_known() -> bool:
            [row] = await router.rows()
            return row["cost_nanousd"] is not None

        await eventually(is_known)
        [row] = await router.rows()
        asked, chat = await router.rows("attempts")
    assert (asked["kind"], asked["outcome"], asked["note"]) == (
        "classifier",
        "completed",
        "too late",
    )
    assert row["cost_nanousd"] == asked["cost_nanousd"] + chat["cost_nanousd"]
    assert row["completion_tokens"] == chat["completion_tokens"]


async def test_without_ollama_the_next_step_decides(
    start: Start, upstream: DemoUpstream, closed_port: str
) -> None:
    """F40: and the dead one costs nothing."""
    async with start(classifier={"mode": "hybrid"}, ollama={"base_url": closed_port}) as router:
        await until_step(router, "ollama", "down")
        assert (await router.get("/health"))["status"] == "degraded"
        assert (await router.get("/health/ready"))["status"] == "degraded"
        reply = await ask(router, OPEN)
        assert reply.status == 200
        assert reply.headers["x-router-classifier"] == "api"
        assert await skipped(router) == {"ollama: down": 1}
        asked, chat = await router.rows("attempts")
        [row] = await router.rows()
    assert (asked["kind"], asked["outcome"]) == ("classifier", "completed")
    assert row["cost_nanousd"] == asked["cost_nanousd"] + chat["cost_nanousd"]
    assert row["cost_nanousd"] == upstream.billed_usd * 10**9


async def test_without_any_classifier_the_best_guess_decides(
    start: Start, upstream: DemoUpstream, closed_port: str
) -> None:
    """F40 F43"""
    upstream.fail(API, status=503)
    async with start(classifier={"mode": "hybrid"}, ollama={"base_url": closed_port}) as router:
        await until_step(router, "ollama", "down")
        for number in range(5):
            reply = await ask(router, f"{OPEN}, {number}")
            assert reply.status == 200
            assert reply.headers["x-router-category"] == "reasoning"
        # Three failures rest the step: the last two requests did not wait for it.
        assert len(upstream.calls(API)) == 3
        assert (await skipped(router))["api: resting"] == 2


async def test_a_model_that_loads_for_minutes_is_left_to_load(
    start: Start, upstream: DemoUpstream
) -> None:
    """F41: requests decide without it, and their short budget does not abort the load."""
    release = upstream.hold(OLLAMA)
    async with start(classifier={"mode": "ollama", "budget_ms": 50}) as router:
        async with asyncio.timeout(PATIENCE_S):
            await upstream.until(lambda: bool(upstream.calls(OLLAMA)))
        for number in range(4):
            reply = await ask(router, f"{CODE}, {number}")
            assert reply.headers["x-router-classifier"] == "local"
        assert await skipped(router) == {"ollama: loading": 4}
        [load] = upstream.calls(OLLAMA)
        assert load.json()["messages"] == []
        assert not load.is_over
        release.set()
        await until_step(router, "ollama", "ok")
        assert (await ask(router, CODE)).headers["x-router-classifier"] == "ollama"
