"""A fake OpenRouter that costs next to nothing: a bare protocol whose answers are made beforehand.

    python -m benchmarks.upstream [--tls FILE]

FILE holds a key and a certificate: then it talks TLS.

What it answers depends on the request alone. A stream is as long and as slow as the prompt orders
(`chunks=100 gap=20`: a hundred chunks, 20 ms apart). A request for one of a closed set of labels
gets a label, any other chat a completion of about 1 KB, and every GET a list of models.
"""

import argparse
import asyncio
import re
import ssl
import sys
from typing import cast

from benchmarks import answers
from llm_router.loop import run

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_ORDER = re.compile(rb"chunks=(\d+) gap=(\d+)")
_STREAM = re.compile(rb'"stream": ?true')
_BACKLOG = 4096


def _whole(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def _chunk(block: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(block), block)


_PLAIN, _LABEL, _MODELS = map(_whole, (answers.PLAIN, answers.LABEL, answers.MODELS))
_EVENTS = tuple(map(_chunk, answers.EVENTS))
_END = _chunk(answers.END) + b"0\r\n\r\n"
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


class Upstream(asyncio.Protocol):
    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._end()) is not None:
            request = bytes(self._received[:end])
            del self._received[:end]
            self._answer(request)

    def _end(self) -> int | None:
        """Return where the first request ends, None if it has not."""
        head = self._received.find(b"\r\n\r\n") + 4
        if head < 4:
            return None
        if length := _LENGTH.search(self._received, 0, head):
            end = head + int(length[1])
            return end if len(self._received) >= end else None
        if not _CHUNKED.search(self._received, 0, head):
            return head
        last = self._received.find(b"0\r\n\r\n", head)
        return None if last < 0 else last + 5

    def _answer(self, request: bytes) -> None:
        if request.startswith(b"GET"):
            self._transport.write(_MODELS)
        elif b'"json_schema"' in request:
            self._transport.write(_LABEL)
        elif not _STREAM.search(request):
            self._transport.write(_PLAIN)
        else:
            order = _ORDER.search(request)
            chunks, gap_ms = (int(order[1]), int(order[2])) if order else (100, 0)
            self._transport.write(_STREAM_HEAD)
            self._next(0, chunks, gap_ms / 1000)

    def _next(self, number: int, chunks: int, gap_s: float) -> None:
        """Write one chunk and come back after the gap; without a gap, write them all."""
        while number < chunks:
            if self._transport.is_closing():
                return
            self._transport.write(_EVENTS[number % answers.EVENTS_AT_HAND])
            number += 1
            if gap_s:
                loop = asyncio.get_running_loop()
                loop.call_later(gap_s, self._next, number, chunks, gap_s)
                return
        self._transport.write(_END)


async def serve(certificate: str | None) -> None:
    loop = asyncio.get_running_loop()
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    server = await loop.create_server(Upstream, "127.0.0.1", 0, backlog=_BACKLOG, ssl=context)
    host, port = server.sockets[0].getsockname()
    sys.stdout.write(f"upstream at {'https' if context else 'http'}://{host}:{port}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upstream")
    parser.add_argument("--tls", metavar="FILE", help="a key and a certificate")
    run(serve(parser.parse_args().tls))
