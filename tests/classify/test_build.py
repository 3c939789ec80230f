from typing import Any

import pytest
from pydantic import SecretStr

from llm_router.classify.base import Decision, Prompt
from llm_router.classify.build import build_classifier
from llm_router.demo.upstream import DemoUpstream
from llm_router.routing.catalog import CatalogHolder
from llm_router.routing.config import ConfigHolder
from llm_router.settings import (
    ClassifierSettings,
    DeadlineSettings,
    OllamaSettings,
    Settings,
    UpstreamSettings,
)
from llm_router.upstream.client import UpstreamClient
from llm_router.upstream.pool import open_pool
from tests.classify.helpers import Book, FakeClock, config, session, until
from tests.fakes.upstream import running_upstream

API_MODEL = "qwen/qwen3-1.7b"
CLEAR = Prompt("Write a python function that parses json")
DOUBT = Prompt("lorem ipsum amet aliqua consectetur adipiscing elit nostrud eiusmod tempor")


async def decided(
    demo: DemoUpstream, mode: Any, prompt: Prompt, ollama_url: str | None = None
) -> tuple[Decision, dict[str, Any]]:
    settings = Settings(
        classifier=ClassifierSettings(mode=mode, budget_ms=5000),
        ollama=OllamaSettings(base_url=ollama_url or demo.ollama_url),
        upstream=UpstreamSettings(base_url=demo.url, api_key=SecretStr("sk-or-test")),
    )
    async with session() as ollama, open_pool(DeadlineSettings(), demo.url) as opened:
        upstream = UpstreamClient(opened, settings.upstream)
        classifier = build_classifier(
            settings,
            FakeClock(),
            ollama,
            upstream,
            CatalogHolder(),
            ConfigHolder(config()),
            lambda _: False,
        )
        await classifier.start()
        try:
            await until(lambda: classifier.status()["steps"].get("ollama") != "loading")
            return await classifier.decide(prompt, config(), Book()), classifier.status()
        finally:
            await classifier.close()


@pytest.mark.parametrize(
    ("mode", "prompt", "by"),
    [
        ("keywords", CLEAR, "keywords"),
        ("keywords", DOUBT, "default"),
        ("ollama", CLEAR, "ollama"),
        ("api", CLEAR, "api"),
        ("local", CLEAR, "local"),
        ("local", DOUBT, "default"),
        ("hybrid", CLEAR, "local"),
        ("hybrid", DOUBT, "ollama"),
    ],
)
async def test_each_mode_decides_its_way(mode: str, prompt: Prompt, by: str) -> None:
    async with running_upstream(extra=[API_MODEL]) as demo:
        decision, status = await decided(demo, mode, prompt)
    assert decision.by == by
    assert status["mode"] == mode


async def test_without_ollama_the_api_decides(unused_tcp_port: int) -> None:
    """F40"""
    async with running_upstream(extra=[API_MODEL]) as demo:
        nowhere = f"http://127.0.0.1:{unused_tcp_port}"
        decision, status = await decided(demo, "hybrid", DOUBT, nowhere)
    assert (decision.by, decision.skipped) == ("api", ("ollama: down",))
    assert status["steps"] == {"ollama": "down", "api": "ok"}
