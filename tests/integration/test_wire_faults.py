"""Upstreams that break HTTP itself."""

import asyncio

import pytest

from tests.fakes.chaos import FIN, HANG, REQUEST, RST, Step, running_chaos
from tests.integration.client import Reply, calling, chat, chat_body, request
from tests.integration.conftest import Start
from tests.integration.wire import (
    ANSWER,
    DONE,
    FINISH,
    PLAIN,
    STREAM,
    WORDS,
    calls,
    chunked,
    plain,
    router_on,
    stream,
)

GLM, AURORA, MINI = "z-ai/glm-5", "openrouter/aurora-alpha", "openai/gpt-4o-mini"
MIB = 1024 * 1024
HEALTHY: dict[bool, list[Step]] = {
    False: [REQUEST, plain(), HANG],
    True: [REQUEST, stream(ANSWER), HANG],
}


def assert_answered(reply: Reply, *, is_stream: bool) -> None:
    assert reply.status == 200
    assert reply.is_whole
    assert reply.body == (ANSWER if is_stream else PLAIN)


# Before the first substance: (plain or stream, what upstream writes, the failure's class)
BROKEN: dict[str, tuple[bool, list[Step], str]] = {
    "F33 a length that is too large": (
        False,
        [plain(headers=b"Content-Length: %d\r\n" % (len(PLAIN) + 9))],
        "protocol_pre",
    ),
    "F33 a length that is too small": (
        False,
        [plain(headers=b"Content-Length: %d\r\n" % (len(PLAIN) - 9))],
        "protocol_pre",
    ),
    "F33 a negative length": (False, [plain(headers=b"Content-Length: -5\r\n")], "no_response"),
    "F33 two lengths": (
        False,
        [plain(headers=b"Content-Length: 2\r\nContent-Length: 3\r\n")],
        "no_response",
    ),
    "F33 a length and chunks": (
        False,
        [plain(headers=b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n")],
        "no_response",
    ),
    "F33 a bad chunk size": (
        True,
        [STREAM + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + ANSWER],
        "protocol_pre",
    ),
    "F34 a header of 300 KB": (
        False,
        [plain(headers=b"X-Long: " + 300_000 * b"x" + b"\r\n")],
        "no_response",
    ),
    "F34 ten thousand headers": (
        False,
        [plain(headers=b"".join(b"X-%d: y\r\n" % n for n in range(10_000)))],
        "no_response",
    ),
    "no HTTP at all": (True, [b"SSH-2.0-OpenSSH_9.6\r\n"], "no_response"),
    "F36 a half-close without an answer": (True, [FIN, HANG], "no_response"),
    "F36 a half-close within the headers": (True, [STREAM, FIN, HANG], "no_response"),
    "F36 a half-close before substance": (
        True,
        [STREAM + b"Connection: close\r\n\r\n: comment\n\n", FIN, HANG],
        "protocol_pre",
    ),
    "F20 a reset before substance": (True, [stream(b": comment\n\n", is_whole=False), RST],
                                     "protocol_pre"),
    "a reset within the headers": (True, [STREAM, RST], "no_response"),
}  # fmt: skip


@pytest.mark.parametrize(("is_stream", "steps", "error_class"), BROKEN.values(), ids=BROKEN.keys())
async def test_an_answer_that_is_no_sound_http_is_another_models_turn(
    start: Start, is_stream: bool, steps: list[Step], error_class: str
) -> None:
    """F20 F33 F34 F36: and the connection is not used again."""
    async with router_on(start, [REQUEST, *steps], HEALTHY[is_stream]) as (router, chaos):
        reply = await chat(router.url, stream=is_stream)
        assert_answered(reply, is_stream=is_stream)
        assert reply.headers["x-router-model"] == AURORA
        await chaos.connections[1].over.wait()
        assert calls(chaos) == 2
        first, second = await router.rows("attempts")
        breaker = await router.breaker(GLM)
    assert (first["outcome"], first["error_class"]) == ("failed", error_class)
    assert second["outcome"] == "completed"
    assert breaker["failures"] == 1


async def test_a_pooled_connection_that_had_died_costs_a_silent_retry(start: Start) -> None:
    """F07: with the same model on a new connection, and no breaker hears of it."""
    dying: list[Step] = [REQUEST, plain(), REQUEST]  # closes instead of answering twice
    async with router_on(start, dying, HEALTHY[False]) as (router, chaos):
        for _ in range(2):
            reply = await chat(router.url)
            assert_answered(reply, is_stream=False)
            assert reply.headers["x-router-model"] == GLM
        assert [c.received.count(b"POST") for c in chaos.connections] == [0, 2, 1]
        assert [row["attempts"] for row in await router.rows()] == [1, 2]
        assert (await router.breaker(GLM))["failures"] == 0
        assert {row["outcome"] for row in await router.rows()} == {"completed"}
        assert [
            (a["error_class"], a["cost_nanousd"] == 0) for a in await router.rows("attempts")
        ] == [
            (None, False),
            ("stale_conn", True),
            (None, False),
        ]


async def test_permission_that_is_refused_is_the_accounts(start: Start) -> None:
    """F11: 403 from OpenRouter itself, with no provider behind it."""
    refusal = plain(b'{"error":{"message":"No permission","code":403}}', status=b"403 Forbidden")
    async with router_on(start, [REQUEST, refusal]) as (router, chaos):
        for attempts in ("1", "0"):
            reply = await chat(router.url)
            assert (reply.status, reply.error["type"]) == (503, "upstream_account")
            assert reply.headers["x-router-attempts"] == attempts
        assert calls(chaos) == 1
        assert (await router.breaker("gate:account"))["state"] == "open"


async def test_interim_answers_without_end_are_no_answer(start: Start) -> None:
    """F34: 1xx for ever is refused as nonsense, or as silence at the latest."""
    spam = 10_000 * b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with router_on(
        start, [REQUEST, spam, HANG], HEALTHY[True], deadlines={"first_event_s": 0.5}
    ) as (router, _):
        reply = await chat(router.url, stream=True)
        assert_answered(reply, is_stream=True)
        first, _ = await router.rows("attempts")
    assert first["error_class"] in ("no_response", "stall_first")


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"307 Temporary", b"308 Permanent"])
async def test_a_redirect_is_never_followed(start: Start, status: bytes) -> None:
    """F34 T09: our key would go wherever it points."""
    async with running_chaos([REQUEST, plain()]) as elsewhere:
        there = b"Location: %b/latest/meta-data\r\n" % elsewhere.url.encode()
        async with router_on(start, [REQUEST, plain(status=status, headers=there)]) as (router, _):
            reply = await chat(router.url)
            attempts = await router.rows("attempts")
        assert (reply.status, reply.error["type"]) == (502, "upstream_failed")
        classes = {attempt["error_class"] for attempt in attempts}
        assert classes - {"stale_conn"} == {"misconfig"}
        assert not elsewhere.connections


@pytest.mark.parametrize(
    "head",
    [plain(b"", headers=b"Transfer-Encoding: chunked\r\nX-Not-Length: 1\r\n"), None],
    ids=["chunked", "until the end"],
)
async def test_a_body_without_end_is_cut_at_the_limit(start: Start, head: bytes | None) -> None:
    """F35: 64 MiB, and the next model's turn."""
    block = b"1" * MIB
    if head is None:
        opening, part = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", block
    else:
        opening, part = head.replace(b"X-Not-Length: 1\r\n", b""), chunked(block, is_whole=False)
    endless: list[Step] = [REQUEST, opening, *([part] * 66), HANG]
    async with router_on(start, endless, HEALTHY[False]) as (router, chaos):
        assert_answered(await chat(router.url), is_stream=False)
        await chaos.connections[1].over.wait()
        first, _ = await router.rows("attempts")
    assert first["error_class"] == "response_too_large"


# The end of a stream

ENDS: dict[str, tuple[list[Step], str | None]] = {
    "F22 a reset behind the last byte": ([stream(ANSWER), RST], None),
    "F22 a reset behind [DONE]": ([stream(ANSWER, is_whole=False), RST], None),
    "F24 a reset behind the finish": ([stream(WORDS, FINISH, is_whole=False), RST], "no [DONE]"),
    "F24 a FIN behind the finish": ([stream(WORDS, FINISH, is_whole=False)], "no [DONE]"),
    "F24 an end behind the finish": ([stream(WORDS, FINISH)], "no [DONE]"),
    "F25 garbage behind [DONE]": ([stream(ANSWER, b"data: {garbage", b"\x00\xff"), HANG], None),
    "F25 data behind [DONE]": ([stream(ANSWER, WORDS), HANG], None),
    "F25 data without end behind [DONE]": (
        [stream(ANSWER, *([MIB * b"x"] * 8), is_whole=False), HANG],
        None,
    ),
    "no end behind [DONE]": ([stream(ANSWER, is_whole=False), HANG], None),
    "F36 a half-close as the end": (
        [STREAM + b"Connection: close\r\n\r\n" + ANSWER, FIN, HANG],
        None,
    ),
}


@pytest.mark.parametrize(("steps", "note"), ENDS.values(), ids=ENDS.keys())
async def test_an_answer_with_its_finish_is_whole_however_it_goes_on(
    start: Start, steps: list[Step], note: str | None
) -> None:
    """F22 F24 F25 F36: every byte up to `[DONE]`, and nothing behind it."""
    async with router_on(start, [REQUEST, *steps], HEALTHY[True]) as (router, chaos):
        assert_answered(await chat(router.url, stream=True), is_stream=True)
        [row] = await router.rows()
        [attempt] = await router.rows("attempts")
        assert (row["outcome"], row["cost_nanousd"], row["completion_tokens"]) == (
            "completed",
            4000,
            2,
        )
        assert (attempt["outcome"], attempt["note"]) == ("completed", note)
        assert calls(chaos) == 1
        assert (await router.breaker(GLM))["failures"] == 0


@pytest.mark.parametrize(
    "more",
    [
        stream(ANSWER, *([MIB * b"x"] * 8), is_whole=False),
        stream(ANSWER, b"data: {}\n\n"),
        stream(ANSWER + b"data: {}\n\n"),
    ],
    ids=["without end", "an event", "an event in the same block"],
)
async def test_a_connection_that_goes_on_behind_done_is_not_used_again(
    start: Start, more: bytes
) -> None:
    """F25"""
    async with router_on(start, [REQUEST, more, REQUEST], HEALTHY[True]) as (router, chaos):
        for _ in range(2):
            assert_answered(await chat(router.url, stream=True), is_stream=True)
        assert [c.received.count(b"POST") for c in chaos.connections] == [0, 1, 1]


@pytest.mark.parametrize(
    ("steps", "error_class"),
    [
        ([STREAM + b"Connection: close\r\n\r\n" + WORDS], "stream_truncated"),
        ([STREAM + b"Connection: close\r\n\r\n" + WORDS, FIN, HANG], "stream_truncated"),
        ([STREAM + b"Connection: close\r\n\r\n" + WORDS + b"data: {", FIN], "stream_truncated"),
        ([stream(WORDS, is_whole=False)], "stream_truncated"),
    ],
    ids=["F23 FIN", "F36 half-close", "F23 FIN inside an event", "F23 FIN inside the body"],
)
async def test_an_answer_without_its_finish_is_never_an_end(
    start: Start, steps: list[Step], error_class: str
) -> None:
    """F23 F36: half an event is not passed on."""
    async with router_on(start, [REQUEST, *steps]) as (router, chaos):
        reply = await chat(router.url, stream=True)
        assert reply.last_words["type"] == error_class
        assert reply.before_last_words == WORDS
        assert calls(chaos) == 1
        [row] = await router.rows()
    assert (row["outcome"], row["error_class"]) == ("truncated", error_class)


# Speed


async def test_a_client_that_does_not_read_slows_upstream_down(start: Start) -> None:
    """F31 F51: what it does not take is not taken from upstream either, and in the end it goes."""
    flood: list[Step] = [WORDS * 10_000] * 100
    size = sum(map(len, (step for step in flood if isinstance(step, bytes))))
    head = STREAM + b"Connection: close\r\n\r\n"
    async with (
        router_on(start, [REQUEST, head, *flood, HANG], deadlines={"write_s": 0.3}) as (r, chaos),
        calling(r.url) as caller,
    ):
        caller.transport.pause_reading()
        caller.writer.write(request(chat_body(stream=True)))
        [row] = await r.until_settled()
        connection = chaos.connections[1]
        await connection.over.wait()
        assert connection.written < size / 4
        assert (await r.breaker(GLM))["failures"] == 0
    assert (row["outcome"], row["error_class"]) == ("abandoned", "client_gone")


async def test_a_client_that_reads_slowly_gets_everything(start: Start) -> None:
    """F31 F52: and its slowness is not the provider's fault."""
    text = WORDS * 20_000
    async with (
        router_on(start, [REQUEST, stream(text + FINISH + DONE)], deadlines={"idle_s": 0.2}) as (
            router,
            _,
        ),
        calling(router.url) as caller,
    ):
        caller.writer.write(request(chat_body(stream=True)))
        caller.transport.pause_reading()
        await asyncio.sleep(0.4)  # twice as long as the provider may be silent
        caller.transport.resume_reading()
        reply = await caller.reply()
        [row] = await router.rows()
    assert reply.body == text + FINISH + DONE
    assert row["outcome"] == "completed"


async def test_headers_of_upstream_pass_only_if_they_are_meant_for_clients(start: Start) -> None:
    """T17 T41"""
    headers = (
        b"X-Generation-Id: gen-1\r\nX-OpenRouter-Cache-Status: HIT\r\nSet-Cookie: canary=1\r\n"
        b"X-RateLimit-Limit: 5\r\nServer: canary\r\nX-OpenRouter-Long: " + 1025 * b"x" + b"\r\n"
        b"X-Router-Model: canary\r\nX-OpenRouter-Odd: \xffcanary\r\n"
    )
    async with router_on(start, [REQUEST, plain(headers=headers)]) as (router, _):
        reply = await chat(router.url)
    assert reply.headers["x-generation-id"] == "gen-1"
    assert reply.headers["x-openrouter-cache-status"] == "HIT"
    assert reply.headers["x-ratelimit-limit"] == "5"
    assert reply.headers["x-router-model"] == GLM
    assert "canary" not in str(reply.headers)
    assert not {"set-cookie", "x-openrouter-long", "x-openrouter-odd"} & reply.headers.keys()
