"""Bodies that are too much, too late, in a foreign form, or not what a chat body is."""

import asyncio
import gzip
import json

import pytest
from hypothesis import strategies as st

from llm_router.demo.upstream import DemoUpstream
from tests.fakes.effort import drawn
from tests.integration.client import Reply, calling, chat_body, post, request
from tests.integration.conftest import PATIENCE_S, Router, Start, in_shared
from tests.oracles.loop import longest_callback

MB = 1024 * 1024
DEEP = 100_000


async def refusal(
    router: Router, reply: Reply, status: int, kind: str, param: str | None = None
) -> str:
    """Return the words of a request that was refused before any call, and has its row."""
    assert (reply.status, reply.error["type"]) == (status, kind)
    assert reply.error.get("param") == param
    rows = {row["id"]: row for row in await router.rows()}
    row = rows[reply.headers["x-router-request-id"]]
    assert (row["outcome"], row["http_status"], row["error_class"]) == ("failed", status, kind)
    assert (row["attempts"], row["cost_nanousd"]) == (0, 0)
    return str(reply.error["message"])


def in_chunks(headers: dict[str, str]) -> bytes:
    """Return the head of a request whose body comes in chunks."""
    head = request(b"", headers={"Transfer-Encoding": "chunked", **headers})
    return head.replace(b"Content-Length: 0\r\n", b"")


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
    async with start(server={"max_body_mb": 1}) as router, calling(router.url) as caller:
        caller.writer.write(in_chunks({}))
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


async def test_a_body_in_chunks_that_does_not_come_ends_the_connection(start: Start) -> None:
    """F53: the client used to be let believe that it may send its next request there."""
    async with start(deadlines={"body_s": 0.1}) as router, calling(router.url) as caller:
        caller.writer.write(in_chunks({}) + b"1\r\n{\r\n")
        reply = await caller.reply()
        await refusal(router, reply, 408, "request_timeout")
        assert reply.headers["connection"] == "close"


@in_shared
@pytest.mark.parametrize("broken", [b"zz\r\n", b"-1\r\n", b"2\r\n{}x\r\n", b"2\n{}\n0\n\n"])
async def test_chunks_that_break_behind_the_head_are_refused_at_once(
    shared: Router, broken: bytes
) -> None:
    """F62: they used to be waited for until `body_s`."""
    async with calling(shared.url) as caller:
        caller.writer.write(in_chunks({"Expect": "100-continue"}))
        await caller.until(b"\r\n\r\n")  # so the body is being read
        caller.writer.write(broken)
        reply = await caller.reply()
        assert "transfer encoding" in await refusal(shared, reply, 400, "invalid_request")
        async with asyncio.timeout(PATIENCE_S):
            assert await caller.reader.read() == b""


async def test_headers_that_do_not_come_are_not_waited_for(start: Start) -> None:
    """F53: and there is nobody to be answered yet."""
    async with start(deadlines={"header_s": 0.1}) as router, calling(router.url) as caller:
        caller.writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: local")
        async with asyncio.timeout(PATIENCE_S):
            assert await caller.reader.read() == b""
        assert not await router.rows()


@in_shared
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP, identity"])
async def test_a_compressed_body_is_refused(shared: Router, encoding: str) -> None:
    """F55 T18: nothing here unpacks what a client packed."""
    body = gzip.compress(json.dumps(chat_body()).encode())
    reply = await post(shared.url, body, headers={"Content-Encoding": encoding})
    await refusal(shared, reply, 415, "unsupported_media_type")


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


@in_shared
@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
async def test_what_is_no_json_object_is_refused_without_an_echo(
    shared: Router, body: bytes
) -> None:
    """F56 F59"""
    reply = await post(shared.url, body)
    words = await refusal(shared, reply, 400, "invalid_request")
    assert "canary" not in words


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


@in_shared
@pytest.mark.parametrize(("field", "value"), WRONG.values(), ids=WRONG.keys())
async def test_a_field_of_a_wrong_type_is_named(shared: Router, field: str, value: str) -> None:
    """F57"""
    members = {"model": '"router"', "messages": '[{"role":"user","content":"Hi"}]', field: value}
    body = "{" + ",".join(f'"{key}":{text}' for key, text in members.items()) + "}"
    reply = await post(shared.url, body.encode())
    assert field in await refusal(shared, reply, 400, "invalid_request", param=field)


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


@in_shared
@pytest.mark.parametrize("body", DOUBLED.values(), ids=DOUBLED.keys())
async def test_a_key_that_stands_twice_is_refused(shared: Router, body: bytes) -> None:
    """F58: two readers could disagree about which one counts."""
    reply = await post(shared.url, body)
    param = reply.error.get("param")
    assert "twice" in await refusal(shared, reply, 400, "invalid_request", param=param)


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
    collected = drawn(some.map(json.dumps).map(str.encode) | st.binary(max_size=40), 80)
    async with start() as router:
        for body in collected:
            reply = await post(router.url, body)
            assert reply.status in (200, 400, 404), body
            assert reply.is_whole
        rows = await router.rows()
    assert len(rows) == len(collected)
    assert all(row["outcome"] in ("completed", "failed") for row in rows)


LONG = 2 * MB
SHAPES = {
    "messages": b'{"messages":[' + b",".join([b'{"role":"user","content":"Hi"}'] * 60_000) + b"]}",
    "members": b'{"messages":[{}],' + b",".join(b'"k%d":1' % n for n in range(180_000)) + b"}",
    "tools": b'{"messages":[{}],"tools":[' + b",".join([b"{}"] * 600_000) + b"]}",
    "parts": b'{"messages":[{"role":"user","content":[' + b",".join([b"{}"] * 600_000) + b"]}]}",
    "one text": b'{"messages":[{"role":"user","content":"' + LONG // 4 * b"why " + b'"}]}',
    "escapes": b'{"messages":[{"role":"user","content":"' + MB * b"\\n" + b'"}]}',
    "a twin": b'{"messages":[{"role":"user","content":"' + LONG * b"x" + b'"}],"n":1,"n":2}',
}


@in_shared
@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES.keys())
async def test_a_long_body_of_any_shape_holds_nobody_up(shared: Router, body: bytes) -> None:
    """F59: no step of reading, deciding and sending it takes long."""
    with longest_callback() as longest:
        reply = await post(shared.url, body)
    assert reply.status in (200, 400)
    assert longest.ms < 50, longest.what
