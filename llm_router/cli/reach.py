"""Whether OpenRouter and Ollama answer, for `doctor --network`. Asking costs nothing."""

import time

from llm_router.errors import UpstreamError
from llm_router.settings import Settings, UpstreamSettings
from llm_router.upstream.client import UpstreamClient
from llm_router.upstream.pool import open_pool

_TIMEOUT_S = 10


async def openrouter(settings: Settings) -> tuple[str, bool]:
    """Say what OpenRouter answers and whether that is good; with a key, what it thinks of it.

    `GET /key` describes the key that asks (openrouter.ai/docs, Limits).
    """
    path = "models" if settings.upstream.api_key is None else "key"
    return await _asked(settings, settings.upstream, path)


async def ollama(settings: Settings) -> tuple[str, bool]:
    """Say whether Ollama answers. Without it the other ways to classify decide."""
    return await _asked(
        settings, UpstreamSettings(base_url=settings.ollama.base_url), "api/version"
    )


async def _asked(settings: Settings, place: UpstreamSettings, path: str) -> tuple[str, bool]:
    started = time.monotonic()
    async with open_pool(settings.deadlines, place.base_url) as pool:
        client = UpstreamClient(pool, place)
        try:
            status, _ = await client.get_json(path, timeout_s=_TIMEOUT_S)
        except UpstreamError as exc:
            return f"{place.base_url}/{path}: {exc}", False
    took_ms = (time.monotonic() - started) * 1000
    return f"{place.base_url}/{path}: {status} after {took_ms:.0f} ms", status == 200
