"""What the tests of this folder share: a clock, a book of calls, configurations."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from msgspec.structs import asdict

from llm_router.classify.base import Decision, FinishedCall, Prompt
from llm_router.classify.keywords import Keywords
from llm_router.routing.config import Category, RoutingConfig

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class FakeClock:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


@dataclass
class Book:
    """Fails a test that finishes a call twice, or one that was never started."""

    started: list[str] = field(default_factory=list)
    finished: dict[str, dict[str, Any]] = field(default_factory=dict)

    def attempt_started(self, model: str) -> str:
        self.started.append(model)
        return str(len(self.started))

    def attempt_finished(self, attempt_id: str, call: FinishedCall) -> None:
        assert int(attempt_id) <= len(self.started)
        assert attempt_id not in self.finished
        self.finished[attempt_id] = asdict(call)

    @property
    def only(self) -> dict[str, Any]:
        assert len(self.started) == len(self.finished) == 1
        return self.finished["1"]


def config(*own: Category, version: int = 1, without: str = "") -> RoutingConfig:
    builtin = [Category(name, ("a/b",)) for name in ("tools", "code", "reasoning", "conversation")]
    kept = [c for c in (*builtin, *own) if c.name != without]
    return RoutingConfig(version, {c.name: c for c in kept})


def own(name: str, *keywords: str, description: str = "") -> Category:
    return Category(name, ("a/b",), keywords, description)


def judge(text: str, where: RoutingConfig | None = None, context: str = "") -> Decision:
    return Keywords().judge(Prompt(text, context=context), where or config())


def raw(messages: Any) -> bytes:
    """Return messages as they come out of a body; bytes are taken for JSON already."""
    return messages if isinstance(messages, bytes) else msgspec.json.encode(messages)


async def until(test: Callable[[], bool]) -> None:
    """Let the loop turn until something holds that another task brings about."""
    async with asyncio.timeout(5):
        while not test():  # noqa: ASYNC110 - what is waited for knows nothing of tests
            await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(method: str, path: str, handler: Handler) -> AsyncIterator[str]:
    """Serve one handler on 127.0.0.1; yields the address."""
    app = web.Application()
    app.router.add_route(method, path, handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened
