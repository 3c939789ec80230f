"""What the ledger and an explanation say about a decision, and what became of each candidate."""

import json

from llm_router.demo.upstream import DemoUpstream
from tests.integration.conftest import Router, Start

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
    assert (row["classifier"], row["skipped"]) == ("keywords", "api: HTTP 503")
