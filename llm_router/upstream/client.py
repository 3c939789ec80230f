"""Calls to OpenRouter: one pooled HTTP/1.1 session, our key, and nothing of the client's.

Every failure below HTTP leaves here as UpstreamError; nobody else catches aiohttp's exceptions.
"""

import asyncio
import errno
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

import aiohttp
import msgspec
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from llm_router import __version__
from llm_router.errors import UpstreamError
from llm_router.routing.failures import FailureClass
from llm_router.settings import DeadlineSettings, UpstreamSettings

PROJECT_URL = "https://github.com/llm-router/llm-router"
RESPONSE_LIMIT = 64 * 1024 * 1024
READ_BUFFER = 64 * 1024  # reading pauses at twice this, so a slow client bounds our memory
_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_is_reused: ContextVar[bool] = ContextVar("is_reused", default=False)


class _Connector(aiohttp.TCPConnector):
    """Notes whether the connection it hands out has served before, in the caller's context.

    Only then is a reset before the first byte the pool's fault and worth one silent retry.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._seen: WeakSet[ResponseHandler] = WeakSet()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        protocol = connection.protocol
        if protocol is not None:
            _is_reused.set(protocol in self._seen)
            self._seen.add(protocol)
        return connection


class UpstreamResponse:
    """An answer whose body has not been read yet."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def generation_id(self) -> str | None:
        """OpenRouter's X-Generation-Id, which its cost can be asked for by."""
        value = self.headers.get("X-Generation-Id")
        return value[:128] if value and value.isprintable() else None

    async def block(self) -> bytes:
        """Return whatever has arrived, waiting for something; b"" at the end."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as exc:
            raise UpstreamError(FailureClass.RESET_MID, "The connection broke.") from exc

    async def body(self, limit: int = RESPONSE_LIMIT) -> bytes:
        """Return the whole body. Raises UpstreamError when it breaks off or is too long."""
        blocks, size = [], 0
        while block := await self.block():
            blocks.append(block)
            size += len(block)
            if size > limit:
                self.close()
                message = f"The answer is longer than {limit} bytes."
                raise UpstreamError(FailureClass.RESPONSE_TOO_LARGE, message)
        return b"".join(blocks)

    def is_complete(self) -> bool:
        """True once the end of the body has arrived, read or not."""
        return self._response.content.is_eof()

    def close(self) -> None:
        """Drop the connection unless the body was read to its end; that cancels the generation."""
        self._response.close()


class UpstreamClient:
    """`base_url` is the API's root, such as https://openrouter.ai/api/v1."""

    def __init__(self, session: aiohttp.ClientSession, settings: UpstreamSettings) -> None:
        self._session = session
        self._base = URL(settings.base_url.rstrip("/"))
        self._chat = self._base / "chat/completions"
        headers = {
            "Accept": "application/json, text/event-stream",
            # Usage must be readable, and a compressed stream would be delayed by its compressor.
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": f"llm-router/{__version__}",
            # How OpenRouter attributes calls to an app (openrouter.ai/docs, App Attribution).
            "HTTP-Referer": PROJECT_URL,
            "X-Title": "llm-router",
        }
        if settings.api_key is not None:
            headers["Authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
        self._headers = CIMultiDictProxy(CIMultiDict(headers))

    async def chat(self, body: bytes, headers: Mapping[str, str] | None = None) -> UpstreamResponse:
        """Send a chat completion; returns at the response headers.

        A pooled connection that had silently died is replaced once. Raises UpstreamError.
        """
        sent = (
            self._headers
            if not headers
            else CIMultiDict([*self._headers.items(), *headers.items()])
        )
        try:
            return await self._post(body, sent)
        except UpstreamError as exc:
            if exc.kind is not FailureClass.STALE_CONNECTION:
                raise
        try:
            return await self._post(body, sent)
        except UpstreamError as exc:
            if exc.kind is FailureClass.STALE_CONNECTION:
                raise UpstreamError(FailureClass.NO_RESPONSE, exc.message) from exc
            raise

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> UpstreamResponse:
        _is_reused.set(False)
        try:
            response = await self._session.post(
                self._chat, data=body, headers=headers, allow_redirects=False
            )
        except (aiohttp.ClientError, OSError) as exc:
            raise _translate(exc) from exc
        return UpstreamResponse(response)

    async def get_json(
        self, path: str, params: Mapping[str, str] | None = None, *, timeout_s: float
    ) -> tuple[int, Any]:
        """Return status and decoded body (None where it is no JSON). Raises UpstreamError."""
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._session.get(
                    self._base / path, params=params, headers=self._headers, allow_redirects=False
                ) as response,
            ):
                body = await UpstreamResponse(response).body()
        except TimeoutError as exc:
            message = f"No answer within {timeout_s:g} s."
            raise UpstreamError(FailureClass.CONNECT_TIMEOUT, message) from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise _translate(exc) from exc
        try:
            return response.status, msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return response.status, None


def _translate(exc: Exception) -> UpstreamError:
    """Say which class a failure before the response headers belongs to."""
    if isinstance(exc, OSError) and exc.errno in _OUT_OF_DESCRIPTORS:
        return UpstreamError(FailureClass.LOCAL, "This machine is out of sockets or memory.")
    if isinstance(exc, aiohttp.ConnectionTimeoutError):
        return UpstreamError(FailureClass.CONNECT_TIMEOUT, "No connection in time.")
    if isinstance(exc, aiohttp.ClientConnectorError):
        return UpstreamError(FailureClass.TRANSPORT, _connect_words(exc))
    if _is_reused.get() and isinstance(exc, aiohttp.ServerDisconnectedError | OSError):
        return UpstreamError(FailureClass.STALE_CONNECTION, "A pooled connection had died.")
    if isinstance(exc, aiohttp.ClientResponseError):
        return UpstreamError(FailureClass.NO_RESPONSE, "The answer was not valid HTTP.")
    return UpstreamError(FailureClass.NO_RESPONSE, "The connection broke before an answer.")


def _connect_words(exc: aiohttp.ClientConnectorError) -> str:
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return "The name cannot be resolved."
    if isinstance(exc, aiohttp.ClientSSLError):
        return "The TLS connection was refused: its certificate or protocol cannot be trusted."
    return f"The connection failed: {exc.os_error.strerror or type(exc.os_error).__name__}."


@asynccontextmanager
async def open_session(
    deadlines: DeadlineSettings, base_url: str
) -> AsyncIterator[aiohttp.ClientSession]:
    """Open the one session for calls to `base_url`, through the environment's proxy if it has one.

    No total or read timeout here: generations run for many minutes, and OpenRouter's keep-alive
    comments would restart a read timeout for ever. The relay counts events instead.
    """
    connector = _Connector(limit=0, keepalive_timeout=60, ttl_dns_cache=30)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=deadlines.connect_s),
        auto_decompress=False,
        read_bufsize=READ_BUFFER,
        proxy=_proxy_for(base_url),
    ) as session:
        yield session


def _proxy_for(base_url: str) -> str | None:
    """Return HTTPS_PROXY (or HTTP_PROXY) unless NO_PROXY names the host. Read once: it is slow."""
    url = URL(base_url)
    if url.host is None or urllib.request.proxy_bypass(url.host):
        return None
    return urllib.request.getproxies().get(url.scheme)
