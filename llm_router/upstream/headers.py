"""An answer's headers, and the allowlists of what crosses the router: nothing private slips by."""

import re
from collections.abc import ItemsView, Iterator, Mapping
from typing import Any

from multidict import CIMultiDict

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
_VALUE = re.compile(r"[\x20-\x7e]{1,1024}")


class Headers(Mapping[str, str]):
    """The headers of an answer whose head a parser has found valid.

    They are looked for where they stand: a provider sends a dozen or two, of which three are read.
    Names have no case; of several with one name the first one is found.
    """

    __slots__ = ("_head", "_lowered")

    def __init__(self, head: bytes) -> None:
        """Take the status line and all header lines with their ends."""
        self._head = text = head.decode("latin-1")
        self._lowered = text.lower()

    def __contains__(self, name: object) -> bool:
        return self._lowered.find(f"\r\n{name}:".lower()) >= 0

    def get(self, name: str, default: Any = None) -> Any:
        at = self._lowered.find(f"\r\n{name}:".lower())
        if at < 0:
            return default
        start = at + len(name) + 3
        return self._head[start : self._head.find("\r\n", start)].strip(" \t")

    def __getitem__(self, name: str) -> str:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def items(self) -> ItemsView[str, str]:
        return self._all().items()

    def extensions(self) -> list[tuple[str, str]]:
        """Return those that begin with x-."""
        found = []
        at = self._lowered.find("\r\nx-")
        while at >= 0:
            end = self._head.find("\r\n", at + 2)
            found.append(_field(self._head[at + 2 : end]))
            at = self._lowered.find("\r\nx-", end)
        return found

    def _all(self) -> CIMultiDict[str]:
        return CIMultiDict(map(_field, self._head.split("\r\n")[1:-1]))


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip(" \t")


def for_upstream(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the client's headers that OpenRouter should see."""
    return {
        name: value
        for name in _TO_UPSTREAM
        if name in headers and _VALUE.fullmatch(value := headers[name])
    }


def for_client(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the provider's headers that a client should see."""
    fields = headers.extensions() if isinstance(headers, Headers) else headers.items()
    return {
        name: value
        for name, value in fields
        if _TO_CLIENT.fullmatch(name.lower()) and _VALUE.fullmatch(value)
    }
