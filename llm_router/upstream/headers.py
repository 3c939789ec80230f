"""Which headers cross the router: allowlists both ways, so that nothing private slips through."""

import re
from collections.abc import Mapping

# What a client may tell OpenRouter (openrouter.ai/docs: Prompt Caching, Response Caching, Router
# Metadata). Everything else we write ourselves; keys and cookies above all.
_TO_UPSTREAM = (
    "x-session-id",
    "x-openrouter-cache",
    "x-openrouter-cache-ttl",
    "x-openrouter-cache-clear",
    "x-openrouter-metadata",
)
_TO_CLIENT = re.compile(r"x-generation-id|x-openrouter-[a-z0-9-]{1,40}|x-ratelimit-[a-z0-9-]{1,40}")
_MARKS = ("x-", "X-")
_VALUE = re.compile(r"[\x20-\x7e]{1,1024}")


def for_upstream(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the client's headers that OpenRouter should see."""
    return {
        name: value
        for name in _TO_UPSTREAM
        if name in headers and _VALUE.fullmatch(value := headers[name])
    }


def for_client(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the provider's headers that a client should see."""
    return {
        name: value
        for name, value in headers.items()
        if name[:2] in _MARKS and _TO_CLIENT.fullmatch(name.lower()) and _VALUE.fullmatch(value)
    }
