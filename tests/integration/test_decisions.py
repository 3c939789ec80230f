"""What the ledger and an explanation say about a decision, and what became of each candidate."""

import json
from pathlib import Path

import pytest

from llm_router import keys
from llm_router.demo.upstream import DemoUpstream
from llm_router.errors import SettingsError
from llm_router.settings_load import load
from tests.integration.conftest import Router, Start, eventually

AURORA, GLM, KIMI = "openrouter/aurora-alpha", "z-ai/glm-5", "moonshotai/kimi-k2.5"
WHY = "Why is the sky blue? Explain it step by step."


async def ask(router: Router, text: str = WHY, **body: object) -> str:
    async with router.chat(text, **body) as response:
        assert response.status == 200, await response.text()
        return str(response.headers["x-router-request-id"])


async def test_a_row_says_which_rule_decided_and_what_else_was_close(
    start: Start, upstream: DemoUpstream
) -> None:
    async with start() as router:
        request_id = await ask(router)
        shown = await router.send(
            "POST",
            "/route/explain",
            {"model": "router", "messages": [{"role": "user", "content": WHY}]},
        )
        await router.rows()
        row = await router.get(f"/requests/{request_id}")
    assert row["category"] == "reasoning"
    assert row["rule"] == shown["rule"]
    assert (row["runner_up"], row["runner_up_confidence"]) == (
        shown["runners_up"][0]["category"],
        shown["runners_up"][0]["confidence"],
    )
    assert (row["skipped"], row["left_out"]) == (None, {})


async def test_a_row_says_why_candidates_were_not_asked(
    start: Start, upstream: DemoUpstream
) -> None:
    upstream.models.retire(AURORA)
    async with start(breaker={"failures": 1}) as router:
        await router.until_listed()
        upstream.fail(GLM, status=500, times=1)
        await ask(router)
        await ask(router)
        first, second = await router.rows()
    gone = {AURORA: "gone: not in OpenRouter's model list"}
    assert json.loads(first["left_out"]) == gone
    assert first["attempts"] == 2
    assert json.loads(second["left_out"]).keys() == {AURORA, GLM}
    assert json.loads(second["left_out"])[GLM].startswith("skipped: ")
    assert (second["attempts"], second["served_model"]) == (1, KIMI)


async def test_a_row_says_which_classifier_could_not_decide(
    start: Start, upstream: DemoUpstream
) -> None:
    """F43: the reason is in the row."""
    upstream.fail("qwen/qwen3-1.7b", status=503)
    async with start(classifier={"mode": "api"}) as router:
        await ask(router)
        [row] = await router.rows()
    assert (row["classifier"], row["skipped"]) == ("local", "api: HTTP 503")


# Sessions

HELLO, CODE = "Hello there, how are you today?", "Write a python function that parses json"
STICKY = {"sticky": "session"}


async def served(router: Router, text: str, session: str | None = "s", **more: object) -> list[str]:
    """Ask once; return the category and the model."""
    headers = {} if session is None else {"x-session-id": session}
    async with router.chat(text, headers=headers, **more) as response:
        assert response.status == 200, await response.text()
        await response.read()
        return [response.headers["x-router-category"], response.headers["x-router-model"]]


async def test_a_session_keeps_its_model_until_a_stronger_category_comes(
    start: Start, upstream: DemoUpstream
) -> None:
    async with start(classifier=STICKY) as router:
        assert await served(router, HELLO) == ["conversation", GLM]
        assert await served(router, WHY) == ["reasoning", AURORA]
        assert await served(router, HELLO) == ["reasoning", AURORA]
        assert await served(router, CODE, stream=True) == ["code", GLM]
        assert await served(router, WHY) == ["code", GLM]
        assert await served(router, WHY, session="other") == ["reasoning", AURORA]
        rows = await router.rows()
    assert [row["session"] for row in rows] == ["s"] * 5 + ["other"]
    assert rows[2]["rule"].startswith(f"the session keeps {AURORA}; this turn alone: conversation")


async def test_a_restart_does_not_forget_sessions(start: Start, upstream: DemoUpstream) -> None:
    async with start(classifier=STICKY) as router:
        assert await served(router, CODE) == ["code", GLM]
    async with start(classifier=STICKY) as router:
        assert await served(router, WHY) == ["code", GLM]


async def test_a_session_moves_when_its_model_is_shut_out_and_stays_there(
    start: Start, upstream: DemoUpstream
) -> None:
    async with start(classifier=STICKY, breaker={"failures": 1}) as router:
        assert await served(router, WHY) == ["reasoning", AURORA]
        upstream.fail(AURORA, status=500, times=1)
        assert await served(router, WHY) == ["reasoning", GLM]
        await router.send("POST", "/circuit-breaker/reset/all")
        assert await served(router, WHY) == ["reasoning", GLM]
        assert await served(router, WHY, session="other") == ["reasoning", AURORA]


async def test_without_a_name_the_conversations_beginning_tells(
    start: Start, upstream: DemoUpstream
) -> None:
    first = {"role": "user", "content": CODE}
    more = [first, {"role": "assistant", "content": "def f(): ..."}]
    async with start(classifier=STICKY) as router:
        assert await served(router, CODE, session=None) == ["code", GLM]
        messages = [*more, {"role": "user", "content": WHY}]
        assert await served(router, "", session=None, messages=messages) == ["code", GLM]
        one, two = await router.rows()
    assert one["session"] == two["session"]
    assert one["session"].startswith("begins-")


async def test_sessions_are_not_kept_unless_the_setting_says_so(
    start: Start, upstream: DemoUpstream
) -> None:
    async with start() as router:
        assert await served(router, CODE) == ["code", GLM]
        assert await served(router, WHY) == ["reasoning", AURORA]


async def test_an_explanation_knows_the_session_and_does_not_touch_it(
    start: Start, upstream: DemoUpstream
) -> None:
    body = {"messages": [{"role": "user", "content": WHY}], "session_id": "s"}
    async with start(classifier=STICKY) as router:
        assert (await router.send("POST", "/route/explain", body))["category"] == "reasoning"
        assert await served(router, CODE) == ["code", GLM]
        shown = await router.send("POST", "/route/explain", body)
    assert (shown["category"], shown["model"]) == ("code", GLM)
    assert "the session keeps" in shown["rule"]


# The shadow


async def shadows(router: Router) -> list[dict[str, object]]:
    await router.rows()
    return [dict(row) for row in await router.app[keys.DATABASE].read(SHADOWS)]


SHADOWS = "SELECT * FROM shadow_decisions ORDER BY request_id"


async def test_a_shadow_books_what_another_mode_would_have_decided(
    start: Start, upstream: DemoUpstream
) -> None:
    settings = {"mode": "keywords", "shadow": "ollama", "budget_ms": 10_000}
    async with start(classifier=settings) as router:
        request_id = await ask(router, "Write a story about how a function works")
        await ask(router, model="router/code")  # nothing was decided on a text

        async def is_booked() -> bool:
            return len(await shadows(router)) == 1

        await eventually(is_booked)
        [row] = await shadows(router)
        requests = await router.rows()
        health = await router.get("/health")
    assert (row["request_id"], row["shadow_mode"]) == (request_id, "ollama")
    assert (row["classifier"], row["category"]) == (
        requests[0]["classifier"],
        requests[0]["category"],
    )
    assert health["classifier"]["shadow"] == {"mode": "ollama", "dropped": 0}
    text = " ".join(str(value) for value in row.values())
    assert "story" not in text


@pytest.mark.parametrize("mode", ["api", "hybrid"])
def test_a_shadow_that_would_cost_money_is_refused(mode: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[classifier]\nshadow = "{mode}"', encoding="utf-8")
    with pytest.raises(SettingsError, match="shadow: must be off, keywords, local or ollama"):
        load(base_dir=tmp_path, environ={})
