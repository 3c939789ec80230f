"""`[ledger] store_text`: words where the operator asked for them, and nowhere else."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from llm_router.keys import DATABASE
from tests.fakes.upstream import Upstream
from tests.integration.client import chat
from tests.integration.conftest import Router, Start
from tests.oracles.secrets import leaks, written_under

PROMPT = "canary-prompt python function"
KEEPING: dict[str, Any] = {"ledger": {"store_text": True}, "log": {"level": "debug"}}


async def stored(router: Router) -> list[dict[str, Any]]:
    await router.rows()
    rows = await router.app[DATABASE].read("SELECT * FROM texts ORDER BY request_id")
    return [dict(row) for row in rows]


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "streamed"])
async def test_words_are_kept_where_that_is_asked_for(start: Start, is_stream: bool) -> None:
    async with start(**KEEPING) as router:
        reply = await chat(router.url, PROMPT, stream=is_stream)
        [row] = await stored(router)
        assert row["request_id"] == reply.headers["x-router-request-id"]
        assert json.loads(row["prompt"]) == [{"role": "user", "content": PROMPT}]
        if not is_stream:
            [choice] = json.loads(reply.body)["choices"]
            assert row["answer"] == choice["message"]["content"]
        assert "canary-prompt" in row["answer"]  # which the scripted upstream repeats
        shown = await router.get(f"/requests/{row['request_id']}")
        assert shown["text"] == {"prompt": row["prompt"], "answer": row["answer"]}


async def test_an_answer_that_breaks_off_or_never_comes_is_kept_as_far_as_it_came(
    start: Start, upstream: Upstream
) -> None:
    async with start(**KEEPING) as router:
        upstream.fail(drop=3)
        await chat(router.url, PROMPT, stream=True, model="openai/gpt-4o-mini")
        upstream.clear()
        upstream.fail(status=400)
        await chat(router.url, PROMPT)
        cut, refused = await stored(router)
        assert cut["answer"]
        assert refused["answer"] == ""


async def test_words_are_nowhere_by_default(start: Start, tmp_path: Path) -> None:
    """T11"""
    async with start(log={"level": "debug"}) as router:
        reply = await chat(router.url, PROMPT, stream=True)
        assert await stored(router) == []
        shown = await router.get(f"/requests/{reply.headers['x-router-request-id']}")
        assert "text" not in shown
        assert leaks(["canary-prompt"], written_under(tmp_path)) == []


async def test_switching_it_on_says_nothing_anywhere_else(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """T11: not in the log, not in metrics, not in lists of requests."""
    caplog.set_level(logging.DEBUG)
    async with start(**KEEPING) as router:
        await chat(router.url, PROMPT, stream=True)
        await stored(router)
        said = {"log": caplog.text.encode()}
        for path in ("/requests", "/metrics", "/metrics?format=prometheus", "/health", "/config"):
            async with router.http.get(router.url + path) as response:
                said[path] = await response.read()
        assert leaks(["canary-prompt"], said) == []
    places = [place for place in written_under(tmp_path) if leaks(["canary"], {"": b""}) == []]
    assert places
    found = leaks(["canary-prompt"], written_under(tmp_path))
    assert all("router.db" in place for place in found)
    assert found
