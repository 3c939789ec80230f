"""The whole application, served as in production, on the scripted upstream."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from llm_router import keys, parts
from llm_router.ledger import reconcile
from llm_router.routing.config import RoutingConfig
from llm_router.routing.defaults import default_config
from llm_router.serving import running
from llm_router.settings import Settings
from llm_router.watchdog import watching_loop
from llm_router.web.server import Runner
from tests.fakes.upstream import Upstream, running_upstream
from tests.oracles import books, resources, secrets
from tests.oracles.books import Sent, sent_to

UPSTREAM_KEY = "sk-or-canary-upstream"
PATIENCE_S = 30.0  # how long a test waits for what must come; nothing is asserted about it
ORACLE_S = 2.0  # how long what is said at the end may take to become true


async def eventually(test: Callable[[], Awaitable[bool]], patience_s: float = PATIENCE_S) -> None:
    """Wait for something that nobody announces."""
    async with asyncio.timeout(patience_s):
        while True:
            if await test():
                return
            await asyncio.sleep(0.01)


@dataclass
class Router:
    """A running router, a client session on it, and what stands behind it."""

    url: str
    runner: Runner
    http: aiohttp.ClientSession
    settings: Settings

    @property
    def app(self) -> web.Application:
        return self.runner.app

    def chat(self, text: str = "Hello there", **body: Any) -> Any:
        """POST a chat body; use as `async with router.chat(...) as response`."""
        headers = body.pop("headers", None)
        body = {"model": "router", "messages": [{"role": "user", "content": text}], **body}
        return self.http.post(f"{self.url}/v1/chat/completions", json=body, headers=headers)

    async def send(
        self, method: str, path: str, body: object = None, *, status: int = 200
    ) -> dict[str, Any]:
        """Return the JSON of an answer that must have this status."""
        async with self.http.request(method, self.url + path, json=body) as response:
            assert response.status == status, await response.text()
            answer: dict[str, Any] = await response.json()
            return answer

    async def get(self, path: str) -> dict[str, Any]:
        return await self.send("GET", path)

    async def breaker(self, model: str) -> dict[str, Any]:
        """Return what GET /circuit-breaker says of a model, or of a gate by its name."""
        shown = await self.get("/circuit-breaker")
        views = [*shown["breakers"], *shown["gates"]]
        found: dict[str, Any] = {view.get("model") or view["gate"]: view for view in views}[model]
        return found

    async def until_listed(self) -> dict[str, Any]:
        """Return what /health says of models once upstream's list is here."""
        models: dict[str, Any] = {}

        async def is_listed() -> bool:
            models.update((await self.get("/health"))["models"])
            return bool(models["listed"])

        await eventually(is_listed)
        return models

    async def rows(self, table: str = "requests") -> list[dict[str, Any]]:
        """Return a ledger table once everything appended so far is in it."""
        queries = {
            "requests": "SELECT * FROM requests ORDER BY id",
            "attempts": "SELECT * FROM attempts ORDER BY request_id, seq",
        }
        await self.app[keys.INGESTOR].flush()
        return [dict(row) for row in await self.app[keys.DATABASE].read(queries[table])]

    async def until_settled(self, count: int = 1) -> list[dict[str, Any]]:
        """Return the requests once `count` of them have an outcome."""

        async def are_settled() -> bool:
            return len([row for row in await self.rows() if row["outcome"]]) >= count

        await eventually(are_settled)
        return await self.rows()

    async def until_priced(self) -> dict[str, Any]:
        """Return the one request once its cost is known."""

        async def is_priced() -> bool:
            return (await self.until_settled())[0]["cost_nanousd"] is not None

        await eventually(is_priced)
        [row] = await self.rows()
        return row


Start = Callable[..., AbstractAsyncContextManager[Router]]


def settings_for(base_url: str, ollama: str, path: Path, /, **sections: Any) -> Settings:
    """Return settings for a test; keyword arguments are sections as dicts."""
    tree: dict[str, Any] = {
        "server": {"port": 0},
        "classifier": {"mode": "keywords"},
        "upstream": {"base_url": base_url, "api_key": UPSTREAM_KEY},
        "ollama": {"base_url": ollama},
        "ledger": {"path": path / "router.db"},
    }
    for name, section in sections.items():
        tree[name] = {**tree.get(name, {}), **section}
    return Settings.model_validate(tree)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as demo:
        yield demo


@asynccontextmanager
async def started(
    demo: Upstream,
    path: Path,
    /,
    seed: RoutingConfig | None = None,
    url: str | None = None,
    sent: Callable[[], list[Sent]] | None = None,
    **sections: Any,
) -> AsyncIterator[Router]:
    """Start a router; at the end its books must be what upstream saw, and nothing may be left.

    `sent` returns the calls that arrived at `url`, if that is another upstream than the demo.
    """
    sent = sent or (lambda: sent_to(demo.everything) if url is None else [])
    settings = settings_for(url or demo.url, demo.ollama_url, path, **sections)
    before = resources.held_here()
    async with (
        running(settings, seed or default_config()) as (runner, address),
        aiohttp.ClientSession() as http,
    ):
        yield Router(address, runner, http, settings)
        await _assert_sound_books(runner.app, sent)
        assert not secrets.leaks([UPSTREAM_KEY], secrets.written_under(path))
    await _assert_nothing_left(before)


async def _assert_sound_books(app: web.Application, sent: Callable[[], list[Sent]]) -> None:
    found: list[str] = []

    async def are_sound() -> bool:
        """What upstream bills, it may find out a moment after the client has its answer."""
        await app[keys.INGESTOR].flush()
        found[:] = books.faults(app[keys.SETTINGS].ledger.path, sent())
        return not found

    with suppress(TimeoutError):
        await eventually(are_sound, ORACLE_S)
    assert not found


async def _assert_nothing_left(before: resources.Held) -> None:
    left: list[str] = []

    async def is_nothing_left() -> bool:
        left[:] = resources.held_here().more_than(before)
        return not left

    with suppress(TimeoutError):
        await eventually(is_nothing_left, ORACLE_S)
    assert not left


@pytest.fixture
def start(upstream: Upstream, tmp_path: Path) -> Start:
    """Start a router on the upstream: `async with start(deadlines={...}) as router`."""
    return partial(started, upstream, tmp_path)


@pytest.fixture
async def router(start: Start) -> AsyncIterator[Router]:
    async with start() as router:
        yield router


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Router]:
    """One router for a module's tests that leave nothing but rows; they are marked `in_shared`.

    Its loop rests while tests with loops of their own run, which its watchdog shall not mind.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "watching_loop", partial(watching_loop, too_long_s=3600))
        async with (
            running_upstream() as upstream,
            started(upstream, tmp_path_factory.mktemp("shared")) as router,
        ):
            yield router


in_shared = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def eager_reconciler(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have missing costs asked for at once, and known at once."""
    monkeypatch.setattr(reconcile, "_POLL_S", 0.01)
    upstream.generations.polls = 0


@pytest.fixture
def closed_port() -> Iterator[str]:
    """Yield the URL of a port at which connections are refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield "http://{}:{}".format(*taken.getsockname())
