"""`clock.utc_text` for many times that share their second, and mostly their millisecond."""

from functools import lru_cache

from llm_router.clock import utc_text


def stamp(unix_s: float) -> str:
    """Return `2026-01-31T12:00:00.123Z`: rounded to µs, cut to ms."""
    return _millisecond(int(unix_s * 1e3 + 0.0005))


@lru_cache(maxsize=4096)
def _millisecond(unix_ms: int) -> str:
    return f"{_second(unix_ms // 1000)}.{unix_ms % 1000:03d}Z"


@lru_cache(maxsize=64)
def _second(unix_s: int) -> str:
    return utc_text(unix_s)[:19]
