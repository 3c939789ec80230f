"""A demo upstream on a real socket, and a client that shows what came over it."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDictProxy

from llm_router.demo.upstream import DemoUpstream
from tests.fakes.upstream import running_upstream

GLM = "z-ai/glm-5"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client saw: `error` is what broke off the body, if anything did."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    error: Exception | None

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The stream's data events, `[DONE]` as a string."""
        lines = self.body.replace(b"\r\n", b"\n").split(b"\n")
        data = [line[6:] for line in lines if line.startswith(b"data: ")]
        return ["[DONE]" if item == b"[DONE]" else json.loads(item) for item in data]

    @property
    def text(self) -> str:
        choices = [event["choices"] for event in self.events if event != "[DONE]"]
        return "".join(c[0]["delta"].get("content") or "" for c in choices if c)


class Client:
    def __init__(self, session: aiohttp.ClientSession, demo: DemoUpstream) -> None:
        self.session = session
        self.demo = demo

    async def chat(self, text: str = "hello", *, model: str = GLM, **more: Any) -> Reply:
        messages = [{"role": "user", "content": text}]
        body = {"model": model, "messages": messages, **more}
        return await self.post(self.demo.url + "/chat/completions", json=body)

    async def stream(self, text: str = "hello", **more: Any) -> Reply:
        return await self.chat(text, stream=True, **more)

    async def ollama(self, **body: Any) -> Reply:
        return await self.post(self.demo.ollama_url + "/api/chat", json=body)

    async def post(self, url: str, **options: Any) -> Reply:
        async with self.session.post(url, **options) as response:
            return await _read(response)

    async def get(self, path: str, **options: Any) -> Reply:
        async with self.session.get(self.demo.url + path, **options) as response:
            return await _read(response)


async def _read(response: aiohttp.ClientResponse) -> Reply:
    received, error = b"", None
    try:
        async for block in response.content.iter_any():
            received += block
    except aiohttp.ClientError as exc:
        error = exc
    return Reply(response.status, response.headers, received, error)


@pytest.fixture
async def demo() -> AsyncIterator[DemoUpstream]:
    async with running_upstream() as demo:
        yield demo


@pytest.fixture
async def client(demo: DemoUpstream) -> AsyncIterator[Client]:
    headers = {"Authorization": "Bearer sk-demo"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield Client(session, demo)
