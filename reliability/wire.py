"""Calls to the router, down to whether an answer was whole."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PATIENCE_S = 60.0


@dataclass(slots=True)
class Answer:
    """What came, however far.

    `is_whole` is False when the connection ended before the body did, `has_given_up` is True when
    the client would wait no longer.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_whole: bool = False
    has_given_up: bool = False

    @property
    def is_good(self) -> bool:
        """A whole answer of a model: for a stream, one that ends as it should."""
        if not (self.is_whole and self.status == 200):
            return False
        is_stream = self.headers.get("content-type") == "text/event-stream"
        return not is_stream or self.body.endswith(b"data: [DONE]\n\n")

    @property
    def is_turned_away(self) -> bool:
        """One connection too many, answered before anything was read of it."""
        return self.is_whole and self.status == 503 and b"as it has room for" in self.body

    @property
    def error_type(self) -> str | None:
        """The `type` of an error that came instead of an answer."""
        if not self.is_whole or self.status in (None, 200):
            return None
        found: str = json.loads(self.body)["error"]["type"]
        return found


class Line:
    """A connection to the router, if `is_kept` for one request after the other."""

    def __init__(self, port: int, *, is_kept: bool = False) -> None:
        self._port = port
        self._is_kept = is_kept
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        read_bytes: int | None = None,
    ) -> Answer:
        """Send one request; leave after `read_bytes` of its answer, if given.

        Raises OSError only when there was nobody to send it to.
        """
        if self._open is None or self._open[0].at_eof():
            self.close()
            self._open = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._open
        answer = Answer()
        try:
            writer.write(_request(method, path, body, is_kept=self._is_kept))
            async with asyncio.timeout(PATIENCE_S):
                await _read(reader, answer, read_bytes)
        except TimeoutError:
            answer.has_given_up = True
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # then it is not whole
        is_over = answer.headers.get("connection", "").lower() == "close"
        if is_over or not (answer.is_whole and self._is_kept):
            self.close()
        return answer

    def close(self) -> None:
        if self._open is not None:
            self._open[1].transport.abort()
            self._open = None


async def send(port: int, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
    """Send one request on a connection of its own. OSError as `Line.send`."""
    return await Line(port).send(method, path, body)


def _request(method: str, path: str, body: Mapping[str, Any] | None, *, is_kept: bool) -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    closing = "" if is_kept else "Connection: close\r\n"
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n{closing}\r\n"
    )
    return head.encode() + data


async def _read(reader: asyncio.StreamReader, answer: Answer, read_bytes: int | None) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in head[1:] if line)
    answer.headers = {name.lower(): value.strip() for name, _, value in fields}
    answer.status = int(head[0].split()[1])
    if answer.headers.get("transfer-encoding") != "chunked":
        answer.body = await reader.readexactly(int(answer.headers["content-length"]))
        answer.is_whole = True
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        answer.body += await reader.readexactly(size)
        await reader.readexactly(2)
        if read_bytes is not None and len(answer.body) >= read_bytes:
            return
    await reader.readexactly(2)
    answer.is_whole = True
