"""Answers of a proxy that reads what the upstream says and writes it anew."""

from typing import Any

import msgspec

from benchmarks.response import Response

_EVENT = b"data: "
_DONE = b"[DONE]"


class Rewritten(Response):
    """Its bytes are the proxy's own, so what is compared is the text and that it came to an end."""

    def __init__(self, expected: bytes) -> None:
        super().__init__(b"")
        self._text = text_of(expected)
        self._body = b""

    @property
    def is_whole(self) -> bool:
        return self.is_done and self._is_right and text_of(self._body) == self._text

    def _compare(self, body: bytes) -> None:
        self._body += body


def text_of(body: bytes) -> str | None:
    """Return what an answer says, plain or streamed; None unless it is a whole answer."""
    try:
        if not body.startswith(_EVENT):
            return str(msgspec.json.decode(body)["choices"][0]["message"]["content"])
        *events, done = [line[len(_EVENT) :] for line in body.splitlines() if line]
        return "".join(map(_said, events)) if done == _DONE else None
    except (msgspec.DecodeError, LookupError, TypeError):
        return None


def _said(event: bytes) -> str:
    choices: list[Any] = msgspec.json.decode(event)["choices"]
    return "".join(choice["delta"].get("content") or "" for choice in choices)
