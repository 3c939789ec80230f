"""What a small request may cost: memory in proportion to what was sent."""

import json
import random
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.client import CHAT, calling, request
from tests.integration.conftest import Router
from tests.oracles.loop import longest_callback

KB = 1024
MB = 1024 * KB


def padded(**fields: Any) -> bytes:
    """Return a chat body of ten kilobytes."""
    body = {"model": "router", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return json.dumps(body).encode().ljust(10 * KB)


def filled(opening: bytes, unit: bytes, closing: bytes) -> bytes:
    count = (10 * KB - len(opening) - len(closing)) // len(unit)
    return opening + unit * count + closing


ASK = b'{"model":"router","messages":[{"role":"user","content":"'
TEN_KILOBYTES = {
    "words": padded(messages=[{"role": "user", "content": "why " * 2000}]),
    "one long word": padded(messages=[{"role": "user", "content": "x" * 9000}]),
    "arrays in arrays": filled(b'{"model":"router","messages":[],"x":', b"[", b""),
    "closed arrays in arrays": b'{"model":"router","messages":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "empty objects": filled(b'{"model":"router","messages":[', b"{},", b"{}]}"),
    "empty messages": filled(b'{"model":"router","messages":[', b'{"role":"user"},', b"{}]}"),
    "members": filled(b'{"model":"router","messages":[]', b',"a":0', b"}"),
    "escapes": filled(ASK, b"\\u732b", b'"}]}'),
    "surrogates": filled(ASK, b"\\ud83d\\ude00", b'"}]}'),
    "digits": filled(b'{"model":"router","messages":[],"seed":', b"9", b"}"),
    "exponents": filled(b'{"model":"router","messages":[],"x":[', b"1e999,", b"1]}"),
    "fences": filled(ASK, b"```\\n", b'"}]}'),
    "tags": filled(ASK, b"<user_query>", b'"}]}'),
    "brackets": filled(ASK, b"[Sun 2026-01-01 ", b'"}]}'),
    "spaces": padded(),
    "noise": random.Random(1).randbytes(10 * KB),
}


@pytest.fixture
async def traced(router: Router) -> AsyncIterator[Router]:
    """Yield a router that has answered before, so that what is made once has been made."""
    async with router.chat() as response:
        await response.read()
    await router.rows()
    tracemalloc.start()
    try:
        yield router
    finally:
        tracemalloc.stop()


async def peak_of(router: Router, raw: bytes) -> tuple[int, int]:
    """Send bytes; return the answer's status and the most memory there was more than before."""
    async with calling(router.url) as caller:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        caller.writer.write(raw)
        reply = await caller.reply()
        _, peak = tracemalloc.get_traced_memory()
    return reply.status, peak - before


async def test_ten_kilobytes_take_less_than_a_megabyte(traced: Router) -> None:
    """T24 F59: on every route that reads a body, whatever is in it."""
    for path in (CHAT, "/route/explain", "/config/category"):
        for name, body in TEN_KILOBYTES.items():
            assert len(body) <= 10 * KB
            status, peak = await peak_of(traced, request(body, path=path))
            assert status < 500, (path, name)
            assert peak < MB, (path, name, peak)


async def test_ten_kilobytes_keep_nobody_waiting(router: Router) -> None:
    """T24 F59: no step of the work on a small request is long."""
    with longest_callback() as longest:
        for path in (CHAT, "/route/explain", "/config/category"):
            for name, body in TEN_KILOBYTES.items():
                longest.forget()
                async with calling(router.url) as caller:
                    caller.writer.write(request(body, path=path))
                    await caller.reply()
                assert longest.ms < 50, (path, name, longest.what)


async def test_headers_take_no_more_than_a_few_times_their_size(traced: Router) -> None:
    """T24"""
    headers = {f"x-{number}": "y" * 60 for number in range(120)}
    status, peak = await peak_of(traced, request(padded(), headers=headers))
    assert status < 500
    assert peak < MB


async def test_a_body_of_one_byte_chunks_takes_no_more_than_another(traced: Router) -> None:
    """T20: each is six bytes on the wire, and none is kept as an object of its own."""
    text = padded().ljust(128 * KB)
    head = request(b"", headers={"Transfer-Encoding": "chunked"})
    head = head.replace(b"Content-Length: 0\r\n", b"")
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in text) + b"0\r\n\r\n"
    # Whatever else goes on in this process is counted, too, so the lesser of two.
    (status, one), (_, other) = [await peak_of(traced, head + chunks) for _ in range(2)]
    assert status == 200
    # The sender's own is among it; as objects they took 5 MB.
    assert min(one, other) < MB + 2 * len(chunks)


async def test_an_announced_body_takes_nothing_until_it_comes(traced: Router) -> None:
    """T20"""
    async with calling(traced.url) as caller:
        before, _ = tracemalloc.get_traced_memory()
        caller.writer.write(request(b"{", headers={"Content-Length": str(60 * MB)}))
        async with calling(traced.url) as other:  # by its answer, the first has been read
            other.writer.write(request(padded()))
            assert (await other.reply()).status == 200
        now, _ = tracemalloc.get_traced_memory()
    assert now - before < MB
