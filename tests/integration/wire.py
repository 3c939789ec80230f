"""Answers as raw bytes, and a router on an upstream that writes them as it likes."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.fakes.chaos import REQUEST, Chaos, Step, running_chaos
from tests.integration.conftest import Router, Start
from tests.oracles.books import sent_to_chaos

DONE = b"data: [DONE]\n\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
_NO_LIST = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


def event(text: str = "", finish: str | None = None, **facts: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return b"data: " + json.dumps({"model": "m", "choices": [choice], **facts}).encode() + b"\n\n"


WORDS = event("Hello ") + event("world")
FINISH = event(finish="stop", usage={"prompt_tokens": 3, "completion_tokens": 2, "cost": 0.000004})
ANSWER = WORDS + FINISH + DONE
PLAIN = json.dumps(
    {
        "id": "gen-1",
        "model": "m",
        "choices": [{"message": {"content": "Hello world"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "cost": 0.000004},
    }
).encode()


def chunked(*parts: bytes, is_whole: bool = True) -> bytes:
    """Return a chunked body's bytes, a part a chunk."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return body + (b"0\r\n\r\n" if is_whole else b"")


def stream(*parts: bytes, is_whole: bool = True) -> bytes:
    head = STREAM + b"Transfer-Encoding: chunked\r\n\r\n"
    return head + chunked(*parts, is_whole=is_whole)


def plain(body: bytes = PLAIN, *, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    length = b"" if b"ength:" in headers else b"Content-Length: %d\r\n" % len(body)
    return (
        b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n" % status
        + headers
        + length
        + b"\r\n"
        + body
    )


def calls(chaos: Chaos) -> int:
    """Return how many chat calls have arrived."""
    return sum(c.received.count(b"POST /chat/completions ") for c in chaos.connections)


@asynccontextmanager
async def router_on(
    start: Start, *scripts: list[Step], **sections: Any
) -> AsyncIterator[tuple[Router, Chaos]]:
    """Start a router whose calls' connections play these scripts."""
    async with (
        running_chaos([REQUEST, _NO_LIST], *scripts) as chaos,
        start(url=chaos.url, sent=lambda: sent_to_chaos(chaos), **sections) as router,
    ):
        await chaos.until_connected()
        await chaos.connections[0].over.wait()
        yield router, chaos
