"""A client for whatever server a test sets up."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from llm_router.errors import UpstreamError
from llm_router.settings import DeadlineSettings, UpstreamSettings
from llm_router.upstream.client import UpstreamClient
from llm_router.upstream.pool import open_pool

KEY = "sk-or-canary-upstream"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

Calling = Callable[..., AbstractAsyncContextManager[UpstreamClient]]


@asynccontextmanager
async def calling(
    url: str, connect_s: float = 5, key: str | None = KEY, **settings: Any
) -> AsyncIterator[UpstreamClient]:
    """Open a client for the API at `url`/api/v1."""
    base_url = url + "/api/v1"
    secret = SecretStr(key) if key is not None else None
    async with open_pool(DeadlineSettings(connect_s=connect_s), base_url) as pool:
        yield UpstreamClient(pool, UpstreamSettings(base_url=base_url, api_key=secret, **settings))


async def failure(url: str, connect_s: float = 5) -> UpstreamError:
    """Return how a call to `url` fails."""
    async with calling(url, connect_s) as client:
        with pytest.raises(UpstreamError) as caught:
            await client.chat(b"{}")
    return caught.value


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
