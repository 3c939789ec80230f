"""Clients that leave, and clients whose lines and headers are not to be trusted."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from llm_router.demo.behaviour import HEADERS
from llm_router.demo.upstream import DemoUpstream
from tests.integration.client import CHAT, calling, chat_body, post, request
from tests.integration.conftest import PATIENCE_S, Router, Start, eventually, in_shared

GLM, MINI = "z-ai/glm-5", "openai/gpt-4o-mini"
MB = 1024 * 1024
DEEP = 100_000


async def until(upstream: DemoUpstream, test: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await upstream.until(test)


async def leave_after(
    router: Router, upstream: DemoUpstream, chunks: int, **fields: Any
) -> dict[str, Any]:
    """Ask, wait for as many chunks (none: for the call), hang up; return the attempt's row."""
    async with calling(router.url) as caller:
        caller.writer.write(request(chat_body(**fields)))
        await until(upstream, lambda: bool(upstream.calls()))
        for _ in range(chunks):
            await caller.until(b"data: {")
    [call] = upstream.calls()
    await until(upstream, lambda: call.disconnected_at is not None)
    await router.until_settled()
    [attempt] = await router.rows("attempts")
    return attempt


# Leaving


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
async def test_a_client_that_leaves_before_the_first_byte_cancels_the_call(
    router: Router, upstream: DemoUpstream, is_stream: bool
) -> None:
    """F47: nobody goes on to generate and charge for what nobody reads."""
    upstream.hold(GLM, at=HEADERS)
    attempt = await leave_after(router, upstream, 0, stream=is_stream)
    [row] = await router.rows()
    assert (row["outcome"], row["http_status"], row["error_class"]) == (
        "abandoned",
        499,
        "client_gone",
    )
    assert (attempt["outcome"], attempt["error_class"]) == ("abandoned", "client_gone")
    for each in (row, attempt):
        assert (each["cost_nanousd"], each["cost_source"]) == (None, "unknown")
    breaker = await router.breaker(GLM)
    assert (breaker["state"], breaker["failures"]) == ("closed", 0)
    assert len(upstream.calls()) == 1


@pytest.mark.usefixtures("eager_reconciler")
@pytest.mark.parametrize(
    ("model", "at"),
    [(GLM, 0), (GLM, 3), (MINI, 3)],
    ids=["F47 before substance", "F48 charged to the end", "F48 charged so far"],
)
async def test_what_a_client_left_behind_is_asked_for_its_cost(
    router: Router, upstream: DemoUpstream, model: str, at: int
) -> None:
    """F47 F48 T34: leaving saves the client nothing, and the books know it."""
    upstream.hold(model, at=at)
    attempt = await leave_after(router, upstream, at, model=model, stream=True)
    assert attempt["outcome"] == "abandoned"
    row = await router.until_priced()
    [call] = upstream.calls()
    assert (row["outcome"], row["served_model"]) == ("abandoned", model)
    assert row["http_status"] == (200 if at else 499)
    assert row["cost_source"] == "reconciled"
    assert row["cost_nanousd"] == call.billed_usd * 10**9
    if at:
        assert row["completion_tokens"] >= at
        assert row["cost_nanousd"] > 0
    assert (await router.breaker(model))["failures"] == 0


async def test_a_client_that_leaves_after_a_keep_alive_was_answered_with_a_200(
    start: Start, upstream: DemoUpstream
) -> None:
    """F47"""
    async with start(server={"keepalive_s": 0.01}) as router:
        upstream.hold(GLM, at=0)
        async with calling(router.url) as caller:
            caller.writer.write(request(chat_body(stream=True)))
            await caller.until(b": keep-alive")
        [row] = await router.until_settled()
    assert (row["outcome"], row["http_status"]) == ("abandoned", 200)


async def test_wherever_a_client_leaves_there_is_one_row(
    router: Router, upstream: DemoUpstream
) -> None:
    """F49: after every event of a stream, and in the moment of its end."""

    async def leave(events: int) -> None:
        async with calling(router.url) as caller:
            caller.writer.write(request(chat_body("chunks=6", model=MINI, stream=True)))
            for _ in range(events):
                await caller.until(b"\n\n")

    whole = 2 + 6 + 3  # comments, chunks, then finish, usage and [DONE]
    await asyncio.gather(*map(leave, range(1, whole + 1)))
    rows = await router.until_settled(whole)
    assert len(rows) == whole
    assert {row["outcome"] for row in rows} <= {"completed", "abandoned"}
    attempts = await router.rows("attempts")
    assert len(attempts) == len(upstream.calls()) == whole
    outcomes = {row["id"]: row["outcome"] for row in rows}
    assert all(a["outcome"] == outcomes[a["request_id"]] for a in attempts)
    assert (await router.breaker(MINI))["failures"] == 0


@pytest.mark.parametrize("by", ["lane", "aiohttp"])
async def test_a_plain_answer_that_is_not_taken_was_not_given(
    router: Router, upstream: DemoUpstream, by: str
) -> None:
    """F51: what is written after the row was told corrects it."""
    upstream.fail(GLM, huge=24 * MB)
    headers = {"X-Odd": "1", "x-odd": "2"} if by == "aiohttp" else {}
    async with calling(router.url) as caller:
        caller.writer.write(request(chat_body(stream=False), headers=headers))
        await caller.until(b"HTTP/1.1 200")

    async def is_corrected() -> bool:
        return [row["outcome"] for row in await router.rows()] == ["abandoned"]

    await eventually(is_corrected)
    [row] = await router.rows()
    assert (row["http_status"], row["error_class"]) == (200, "client_gone")
    assert row["cost_source"] == "provider"
    [attempt] = await router.rows("attempts")
    assert attempt["outcome"] == "completed"


async def test_a_half_closed_connection_counts_as_left(
    router: Router, upstream: DemoUpstream
) -> None:
    """F50"""
    upstream.hold(GLM, at=2)
    async with calling(router.url) as caller:
        caller.writer.write(request(chat_body(stream=True)))
        await caller.until(b"data: {")
        caller.writer.write_eof()
        [row] = await router.until_settled()
    assert row["outcome"] == "abandoned"
    await until(upstream, lambda: upstream.calls()[0].disconnected_at is not None)


# What must not be carried on


async def test_line_ends_in_names_go_nowhere(router: Router, upstream: DemoUpstream) -> None:
    """F65: a name is refused before it can become a header."""
    reply = await post(router.url, chat_body(model="a/b\r\nX-Evil: 1"))
    assert (reply.status, reply.error["type"]) == (404, "model_not_found")
    assert "\n" not in reply.error["message"]
    forced = b"X-Router-Category: code\\r\\nX-Evil: 1\r\n"
    raw = request(chat_body()).replace(b"Content-Type", forced + b"Content-Type", 1)
    async with calling(router.url) as caller:
        caller.writer.write(raw)
        reply = await caller.reply()
    assert (reply.status, reply.error["type"]) == (400, "unknown_category")
    assert "x-evil" not in reply.headers
    assert not upstream.calls()


async def test_headers_of_clients_are_not_carried_on(
    router: Router, upstream: DemoUpstream
) -> None:
    """F65 T16: an allowlist, with values that are plain ASCII."""
    raw = request(
        chat_body(),
        headers={
            "X-Session-Id": "s\xe91",
            "X-OpenRouter-Cache": "true",
            "OpenAI-Organization": "org",
            "X-Evil": "1",
            "Connection": "keep-alive, Authorization",
            "Host": "localhost",
        },
    )
    async with calling(router.url) as caller:
        caller.writer.write(raw)
        assert (await caller.reply()).status == 200
    sent = {name.lower() for name in upstream.calls()[0].headers}
    [row] = await router.rows()
    assert row["session"] is None  # what is no text cannot be booked, and the rest must be
    assert "x-openrouter-cache" in sent
    assert not sent & {"x-session-id", "openai-organization", "x-evil"}


NO_HTTP = {
    "a garbage line": b"garbage\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + 64 * b"\x00",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a length and chunks": b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % CHAT.encode(),
    "two lengths": b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
    b"Content-Length: 5\r\n\r\n{}{}{" % CHAT.encode(),
    "a folded header": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n c\r\n\r\n",
    "a blank before the colon": b"GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "NUL": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: \x00\r\n\r\n",
    "bare line feeds": b"POST %b HTTP/1.1\nHost: localhost\nContent-Length: 2\n\n{}"
    % CHAT.encode(),
    "a bare line feed at the end": b"POST %b HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: 2\r\n\n{}" % CHAT.encode(),
}


@in_shared
@pytest.mark.parametrize("raw", NO_HTTP.values(), ids=NO_HTTP.keys())
async def test_what_is_no_sound_http_is_refused_and_the_connection_closed(
    shared: Router, raw: bytes
) -> None:
    """F61 F62: and others are served on."""
    async with calling(shared.url) as caller:
        caller.writer.write(raw)
        reply = await caller.reply()
        assert (reply.status, reply.error["type"]) == (400, "invalid_request")
        async with asyncio.timeout(PATIENCE_S):
            assert await caller.reader.read() == b""
    assert (await post(shared.url, chat_body())).status == 200


async def test_the_end_of_a_stream_without_chunks_is_the_connections(router: Router) -> None:
    """F61: a client of HTTP/1.0 that would keep the connection used to wait for ever."""
    raw = request(chat_body(stream=True), headers={"Connection": "keep-alive"})
    async with calling(router.url) as caller:
        caller.writer.write(raw.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1))
        async with asyncio.timeout(PATIENCE_S):
            answer = await caller.reader.read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK")
    assert b"keep-alive" not in head.lower()
    assert body.endswith(b"data: [DONE]\n\n")
