"""A client that sees every byte: what came, and whether the answer was ended or merely stopped."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from tests.integration.conftest import PATIENCE_S

CHAT = "/v1/chat/completions"
DONE = b"data: [DONE]\n\n"
STREAM_HEADERS = {"content-type": "text/event-stream"}


@dataclass(frozen=True)
class Reply:
    """`is_whole` is False when the connection ended before the body did."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool

    @property
    def error(self) -> dict[str, Any]:
        """Return the error of an answer that is nothing but one in the one shape."""
        assert self.is_whole
        assert self.headers["content-type"] == "application/json; charset=utf-8"
        return checked_error(json.loads(self.body), self.status)

    @property
    def events(self) -> list[Any]:
        """Return the data of each event, `[DONE]` as a string."""
        assert self.status == 200
        assert self.headers["content-type"] == "text/event-stream"
        found = [e[6:] for e in self.body.split(b"\n\n") if e.startswith(b"data: ")]
        return ["[DONE]" if data == b"[DONE]" else json.loads(data) for data in found]

    def assert_clean_stream(self) -> None:
        """The whole answer of one model, ended as it must be."""
        assert self.is_whole
        assert self.body.endswith(DONE)
        events = self.events
        assert events.count("[DONE]") == 1
        assert not [e for e in events[:-1] if "error" in e]
        assert len({e["model"] for e in events[:-1]}) == 1

    @property
    def last_words(self) -> dict[str, Any]:
        """Return our own error event, which must end a stream that must not look ended."""
        assert not self.is_whole
        assert DONE not in self.body
        assert self.body.endswith(b"}\n\n")
        *before, last = self.events
        assert last.keys() == {"error"}
        assert not [e for e in before if "error" in e]
        return checked_error(last, 502)

    @property
    def before_last_words(self) -> bytes:
        """Return the bytes that came from upstream before our own error event."""
        return self.body[: self.body.rindex(b"data: ")]


def checked_error(document: Any, code: int) -> dict[str, Any]:
    """Return what is under `error`, which has the one shape and nothing beside it."""
    assert document.keys() == {"error"}
    error = document["error"]
    assert {"message", "code", "type"} <= error.keys()
    assert error.keys() <= {"message", "code", "type", "param", "metadata"}
    assert error["code"] == code
    assert error["message"]
    assert isinstance(error["type"], str)
    return dict(error)


class Caller:
    """One connection to the router."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        # A socket's transport goes both ways, whatever its annotation says.
        self.transport = cast("asyncio.Transport", writer.transport)

    async def until(self, text: bytes) -> bytes:
        """Read up to and including some bytes."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readuntil(text)

    async def reply(self, patience_s: float = PATIENCE_S) -> Reply:
        """Read one answer, to the end of its body or of the connection."""
        async with asyncio.timeout(patience_s):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            fields = (line.partition(":") for line in lines[1:] if line)
            headers = {name.lower(): value.strip() for name, _, value in fields}
            body, is_whole = await self._body(headers)
        return Reply(int(lines[0].split()[1]), headers, body, is_whole)

    async def rest(self) -> Reply:
        """Read the rest of a stream whose first event has begun to be read by `until`."""
        async with asyncio.timeout(PATIENCE_S):
            begun = await self.reader.readuntil(b"\r\n")
            body, is_whole = await self._body({"transfer-encoding": "chunked"})
        return Reply(200, STREAM_HEADERS, b"data: {" + begun[:-2] + body, is_whole)

    async def _body(self, headers: Mapping[str, str]) -> tuple[bytes, bool]:
        body = bytearray()
        try:
            if headers.get("transfer-encoding") != "chunked":
                return await self.reader.readexactly(int(headers["content-length"])), True
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += await self.reader.readexactly(size)
                assert await self.reader.readexactly(2) == b"\r\n"
            assert await self.reader.readexactly(2) == b"\r\n"
        except asyncio.IncompleteReadError as exc:
            if exc.partial:
                raise  # half a chunk is half an event
            return bytes(body), False
        return bytes(body), True


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[Caller]:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.transport.abort()


def request(
    body: bytes | Mapping[str, Any], *, path: str = CHAT, headers: Mapping[str, str] | None = None
) -> bytes:
    """Return a POST as it goes over the wire."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Content-Length": str(len(data)),
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + data


def chat_body(text: str = "Hi", **fields: Any) -> dict[str, Any]:
    return {"model": "router/code", "messages": [{"role": "user", "content": text}], **fields}


async def chat(url: str, text: str = "Hi", **fields: Any) -> Reply:
    """Ask and return the whole reply; fields go into the body."""
    return await post(url, chat_body(text, **fields))


async def post(
    url: str, body: bytes | Mapping[str, Any], *, headers: Mapping[str, str] | None = None
) -> Reply:
    async with calling(url) as caller:
        caller.writer.write(request(body, headers=headers))
        return await caller.reply()
