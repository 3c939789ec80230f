"""Calls to OpenRouter, with our key and nothing of the client's.

Every failure below HTTP leaves here as UpstreamError.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from yarl import URL

from llm_router import __version__
from llm_router.errors import UpstreamError
from llm_router.routing.failures import FailureClass
from llm_router.settings import UpstreamSettings
from llm_router.upstream.pool import Pool
from llm_router.upstream.response import UpstreamResponse

# OpenRouter attributes calls by such an address (openrouter.ai/docs, App Attribution).
APP_URL = "http://localhost/llm-router"
_JOINED_BYTES = 64 * 1024


class UpstreamClient:
    """`base_url` is the API's root, such as https://openrouter.ai/api/v1."""

    def __init__(self, pool: Pool, settings: UpstreamSettings) -> None:
        self._pool = pool
        self._root = pool.origin.target_prefix + URL(settings.base_url).raw_path.rstrip("/")
        headers = {
            "Host": pool.origin.authority,
            **pool.origin.proxy_headers,
            "Accept": "application/json, text/event-stream",
            # Usage must be readable, and a compressed stream would be delayed by its compressor.
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": f"llm-router/{__version__}",
            "HTTP-Referer": APP_URL,
            "X-OpenRouter-Title": "llm-router",
        }
        if settings.api_key is not None:
            headers["Authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
        self._headers = _lines(headers)
        chat = f"POST {self._root}/chat/completions HTTP/1.1\r\n{self._headers}Content-Length: "
        self._chat = chat.encode("latin-1")

    def chat(
        self,
        *body: bytes | memoryview,
        headers: Mapping[str, str] | None = None,
        on_new_connection: bool = False,
    ) -> Awaitable[UpstreamResponse]:
        """Send a chat completion; returns at the response headers. Raises UpstreamError.

        The pieces of `body` are sent one behind the other. `headers` are added to ours; the caller
        vouches that they are printable.
        """
        more = _lines(headers) if headers else ""
        length = sum(map(len, body))
        rest = f"{length}\r\n{more}\r\n".encode("latin-1")
        # One piece is written at once; of several, copying is dear only where they are long.
        if length <= _JOINED_BYTES:
            return self._pool.send(
                b"".join((self._chat, rest, *body)), on_new_connection=on_new_connection
            )
        return self._pool.send(self._chat, rest, *body, on_new_connection=on_new_connection)

    async def get_json(
        self, path: str, params: Mapping[str, str] | None = None, *, timeout_s: float
    ) -> tuple[int, Any]:
        """Return status and decoded body (None where it is no JSON). Raises UpstreamError."""
        query = f"?{urlencode(params)}" if params else ""
        head = f"GET {self._root}/{path}{query} HTTP/1.1\r\n{self._headers}\r\n"
        response = None
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._get(head.encode("latin-1"))
                body = await response.body()
        except TimeoutError as exc:
            message = f"No answer within {timeout_s:g} s."
            raise UpstreamError(FailureClass.CONNECT_TIMEOUT, message) from exc
        finally:
            if response is not None:
                response.close()
        try:
            return response.status, msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return response.status, None

    async def _get(self, head: bytes) -> UpstreamResponse:
        """Asking twice costs nothing, so a pooled connection that had died is replaced here."""
        try:
            return await self._pool.send(head)
        except UpstreamError as exc:
            if exc.kind is not FailureClass.STALE_CONNECTION:
                raise
        return await self._pool.send(head, on_new_connection=True)


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
