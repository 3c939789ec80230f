"""Clients that leave, and clients that send what cannot be served."""

import asyncio
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_router.demo.behaviour import HEADERS
from llm_router.demo.upstream import DemoUpstream
from tests.integration.client import CHAT, Reply, calling, chat_body, post, request
from tests.integration.conftest import PATIENCE_S, Router, Start

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
    """F47 F48: leaving saves the client nothing, and the books know it."""
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


# Bodies that are too much, too late or in a foreign form


async def refusal(
    router: Router, reply: Reply, status: int, kind: str, param: str | None = None
) -> str:
    """Return the words of a request that was refused before any call, and has its row."""
    assert (reply.status, reply.error["type"]) == (status, kind)
    assert reply.error.get("param") == param
    [row] = await router.rows()
    assert (row["outcome"], row["http_status"], row["error_class"]) == ("failed", status, kind)
    assert (row["attempts"], row["cost_nanousd"]) == (0, 0)
    assert row["id"] == reply.headers["x-router-request-id"]
    return str(reply.error["message"])


@pytest.mark.parametrize("expects", [False, True], ids=["at once", "Expect: 100-continue"])
async def test_a_body_that_is_announced_too_long_is_not_even_read(
    start: Start, expects: bool
) -> None:
    """F54: and not invited either."""
    headers = {"Content-Length": str(50 * MB), **({"Expect": "100-continue"} if expects else {})}
    async with start(server={"max_body_mb": 1}) as router, calling(router.url) as caller:
        caller.writer.write(request(b"", headers=headers))
        reply = await caller.reply()
        assert "max_body_mb" in await refusal(router, reply, 413, "payload_too_large")


async def test_a_body_in_chunks_is_cut_at_the_limit(start: Start) -> None:
    """F54"""
    headers = {"Transfer-Encoding": "chunked"}
    head = request(b"", headers=headers).replace(b"Content-Length: 0\r\n", b"")
    async with start(server={"max_body_mb": 1}) as router, calling(router.url) as caller:
        caller.writer.write(head)
        for _ in range(2 * 16):
            caller.writer.write(b"10000\r\n" + 65536 * b" " + b"\r\n")
        await refusal(router, await caller.reply(), 413, "payload_too_large")


async def test_a_body_of_the_right_size_is_invited(router: Router) -> None:
    """F54"""
    head, _, body = request(chat_body(), headers={"Expect": "100-continue"}).partition(b"\r\n\r\n")
    async with calling(router.url) as caller:
        caller.writer.write(head + b"\r\n\r\n")
        assert await caller.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.writer.write(body)
        assert (await caller.reply()).status == 200


async def test_a_long_agents_context_passes(router: Router) -> None:
    """F54: a few megabytes are nothing unusual."""
    text = "word " * 1000
    history = [{"role": "user", "content": text} for _ in range(600)]
    reply = await post(router.url, {"model": "router/code", "messages": history})
    assert (reply.status, reply.error["type"]) == (400, "no_capable_candidate")
    assert "context" in reply.error["message"]


async def test_a_body_that_does_not_come_is_not_waited_for(start: Start) -> None:
    """F53"""
    async with start(deadlines={"body_s": 0.1}) as router, calling(router.url) as caller:
        caller.writer.write(request(b"{", headers={"Content-Length": "100"}))
        await refusal(router, await caller.reply(), 408, "request_timeout")


async def test_headers_that_do_not_come_are_not_waited_for(start: Start) -> None:
    """F53: and there is nobody to be answered yet."""
    async with start(deadlines={"header_s": 0.1}) as router, calling(router.url) as caller:
        caller.writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: local")
        async with asyncio.timeout(PATIENCE_S):
            assert await caller.reader.read() == b""
        assert not await router.rows()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP, identity"])
async def test_a_compressed_body_is_refused(router: Router, encoding: str) -> None:
    """F55 T18: nothing here unpacks what a client packed."""
    body = gzip.compress(json.dumps(chat_body()).encode())
    reply = await post(router.url, body, headers={"Content-Encoding": encoding})
    await refusal(router, reply, 415, "unsupported_media_type")


# Bodies that cannot be read

NOT_JSON = {
    "empty": b"",
    "blank": b"  \n",
    "trailing garbage": b'{"model":"router"} canary',
    "cut short": b'{"model":"canary',
    "a BOM": b"\xef\xbb\xbf{}",
    "UTF-16": '{"model":"canary"}'.encode("utf-16"),
    "invalid UTF-8": b'{"model":"canary\xff"}',
    "NaN": b'{"canary":NaN}',
    "an array": b'["canary"]',
    "a number": b"5",
    "null": b"null",
    "deep arrays": b'{"canary":' + DEEP * b"[" + DEEP * b"]" + b"}",
    "deep objects": b'{"canary":' + DEEP * b'{"a":' + b"1" + DEEP * b"}" + b"}",
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
async def test_what_is_no_json_object_is_refused_without_an_echo(
    router: Router, upstream: DemoUpstream, body: bytes
) -> None:
    """F56 F59"""
    reply = await post(router.url, body)
    words = await refusal(router, reply, 400, "invalid_request")
    assert "canary" not in words
    assert not upstream.calls()


WRONG = {
    "model 5": ("model", "5"),
    "model []": ("model", "[]"),
    "messages {}": ("messages", "{}"),
    "messages text": ("messages", '"hi"'),
    "messages none": ("messages", "[]"),
    "messages null": ("messages", "null"),
    "stream yes": ("stream", '"yes"'),
    "stream 1": ("stream", "1"),
    "max_tokens -1": ("max_tokens", "-1"),
    "max_tokens text": ("max_tokens", '"5"'),
    "max_tokens 1.5": ("max_tokens", "1.5"),
    "max_tokens 1e999": ("max_tokens", "1e999"),
    "max_completion_tokens -1": ("max_completion_tokens", "-1"),
    "n 0": ("n", "0"),
    "tools {}": ("tools", "{}"),
    "functions 5": ("functions", "5"),
    "response_format text": ("response_format", '"json"'),
    "session_id 5": ("session_id", "5"),
}


@pytest.mark.parametrize(("field", "value"), WRONG.values(), ids=WRONG.keys())
async def test_a_field_of_a_wrong_type_is_named(
    router: Router, upstream: DemoUpstream, field: str, value: str
) -> None:
    """F57"""
    members = {"model": '"router"', "messages": '[{"role":"user","content":"Hi"}]', field: value}
    body = "{" + ",".join(f'"{key}":{text}' for key, text in members.items()) + "}"
    reply = await post(router.url, body.encode())
    assert field in await refusal(router, reply, 400, "invalid_request", param=field)
    assert not upstream.calls()


async def test_half_an_emoji_passes_as_it_came(router: Router, upstream: DemoUpstream) -> None:
    """F56: agents cut texts anywhere, and a lone surrogate is no reason to refuse."""
    messages = b'[{"role":"user","content":"cut \\ud83d"}]'
    reply = await post(router.url, b'{"model":"router","messages":' + messages + b"}")
    assert reply.status == 200
    assert messages in upstream.calls()[0].body


DOUBLED = {
    "model": b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}],"model":"glm-5"}',
    "stream": b'{"stream":true,"messages":[{"role":"user","content":"Hi"}],"stream":false}',
    "messages": b'{"messages":[],"messages":[{"role":"user","content":"Hi"}]}',
    "an escaped twin": b'{"n":1,"messages":[{"role":"user","content":"Hi"}],"\\u006e":2}',
    "another field": b'{"seed":1,"messages":[{"role":"user","content":"Hi"}],"seed":2}',
    "in a message": b'{"messages":[{"role":"user","content":"Hi","content":"Ha"}]}',
}  # fmt: skip


@pytest.mark.parametrize("body", DOUBLED.values(), ids=DOUBLED.keys())
async def test_a_key_that_stands_twice_is_refused(
    router: Router, upstream: DemoUpstream, body: bytes
) -> None:
    """F58: two readers could disagree about which one counts."""
    reply = await post(router.url, body)
    assert (reply.status, reply.error["type"]) == (400, "invalid_request")
    assert "twice" in reply.error["message"]
    assert not upstream.calls()
    [row] = await router.rows()
    assert (row["outcome"], row["attempts"]) == ("failed", 0)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
parts = st.fixed_dictionaries(
    {}, optional={"type": st.sampled_from(["text", "image_url"]) | values, "text": values}
)
message = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "tool", "system"]) | values,
        "content": st.text() | st.lists(parts | values, max_size=3) | values,
        "tool_calls": values,
    },
)
some = st.fixed_dictionaries(
    {"messages": st.lists(message | values, max_size=4) | values},
    optional={
        "model": st.sampled_from(["router", "auto", "router/code", "glm-5", "a/b"]) | values,
        "stream": st.booleans() | values,
        "tools": st.lists(values, max_size=2) | values,
        "max_tokens": st.integers() | values,
        "response_format": values,
        "session_id": values,
        "n": values,
    },
)


async def test_no_body_makes_the_router_fail(start: Start) -> None:
    """F57: every answer is upstream's or a refusal on purpose."""
    collected: list[bytes] = []

    @settings(max_examples=80, suppress_health_check=list(HealthCheck), database=None)
    @given(some.map(json.dumps).map(str.encode) | st.binary(max_size=40))
    def collect(body: bytes) -> None:
        collected.append(body)

    collect()
    async with start() as router:
        for body in collected:
            reply = await post(router.url, body)
            assert reply.status in (200, 400, 404), body
            assert reply.is_whole
        rows = await router.rows()
    assert len(rows) == len(collected)
    assert all(row["outcome"] in ("completed", "failed") for row in rows)


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
}


@pytest.mark.parametrize("raw", NO_HTTP.values(), ids=NO_HTTP.keys())
async def test_what_is_no_sound_http_is_refused_and_the_connection_closed(
    router: Router, raw: bytes
) -> None:
    """F61 F62: and others are served on."""
    async with calling(router.url) as caller:
        caller.writer.write(raw)
        reply = await caller.reply()
        assert (reply.status, reply.error["type"]) == (400, "invalid_request")
        async with asyncio.timeout(PATIENCE_S):
            assert await caller.reader.read() == b""
    assert (await post(router.url, chat_body())).status == 200
