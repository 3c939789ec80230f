"""An answer as it comes in over one connection."""

import asyncio
from typing import Any

import pytest

from llm_router.errors import UpstreamError
from llm_router.routing.failures import FailureClass
from llm_router.upstream.response import UpstreamResponse
from tests.fakes.chaos import FIN, HANG, REQUEST, RST, Step, running_chaos
from tests.fakes.waiting import until
from tests.upstream.conftest import calling

C = FailureClass
BODY = b"{}"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST = chunk(b"")


class Sink:
    """Notes what it is given, in order; `until` waits for the end of it."""

    def __init__(self) -> None:
        self.given: list[Any] = []
        self._over = asyncio.Event()

    def feed(self, block: bytes) -> None:
        self.given.append(block)

    def end(self) -> None:
        self.given.append("end")
        self._over.set()

    def fail(self, error: UpstreamError) -> None:
        self.given.append(error.kind)
        self._over.set()

    async def over(self) -> list[Any]:
        await asyncio.wait_for(self._over.wait(), 10)
        return self.given


async def read_all(response: UpstreamResponse) -> tuple[bytes, FailureClass | None]:
    """Return the body and what broke it off, if anything did."""
    body = b""
    try:
        while block := await response.block():
            body += block
    except UpstreamError as exc:
        return body, exc.kind
    return body, None


async def answer(*steps: Step) -> tuple[bytes, FailureClass | None]:
    async with running_chaos([REQUEST, *steps]) as chaos, calling(chaos.url) as client:
        response = await client.chat(BODY)
        async with asyncio.timeout(10):
            return await read_all(response)


@pytest.mark.parametrize(
    "steps",
    [
        [OK, HANG],
        [STREAM + chunk(b"o") + chunk(b"k") + LAST, HANG],
        [STREAM, chunk(b"o"), chunk(b"k"), LAST, HANG],
        [STREAM + b"2;name=value\r\nok\r\n0\r\nTrailer: x\r\n\r\n", HANG],
        [b"HTTP/1.1 200 OK\r\n\r\nok"],
        [b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"],
        [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", FIN, HANG],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", b"k", RST],
    ],
    ids=[
        "length",
        "chunks",
        "chunks one by one",
        "extensions and trailers",
        "until it closes",
        "HTTP/1.0",
        "closing",
        "reset right behind it",
    ],
)
async def test_a_whole_answer_is_read_to_its_end(steps: list[Step]) -> None:
    assert await answer(*steps) == (b"ok", None)


async def test_an_answer_may_come_byte_by_byte() -> None:
    """F30"""
    raw = STREAM + chunk(b"o") + chunk(b"k") + LAST
    assert await answer(*[raw[at : at + 1] for at in range(len(raw))], HANG) == (b"ok", None)


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_that_has_no_body_needs_no_length(status: int) -> None:
    head = b"HTTP/1.1 %d Nothing\r\n\r\n" % status
    assert await answer(head, HANG) == (b"", None)


@pytest.mark.parametrize(
    "steps",
    [
        [STREAM + chunk(b"ok"), RST],
        [STREAM + chunk(b"ok")],
        [STREAM + chunk(b"ok"), FIN, HANG],
        [STREAM + chunk(b"ok") + b"5\r\n"],
        [STREAM + chunk(b"ok") + b"zz\r\nxx\r\n", HANG],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"],
        [b"HTTP/1.1 200 OK\r\n\r\nok", RST],
    ],
    ids=[
        "reset",
        "closed without the last chunk",
        "half closed",
        "closed in a chunk",
        "no chunk",
        "too short",
        "reset where a close would end it",
    ],
)
async def test_what_came_before_a_break_is_read_and_then_the_break(steps: list[Step]) -> None:
    """F22, F23, F33: the last words, or the usage, of an answer that broke off are not lost."""
    was_broken = RST in steps or (HANG in steps[1:] and FIN not in steps)
    kind = C.RESET_MID if was_broken else C.TRUNCATED
    assert await answer(*steps) == (b"ok", kind)


@pytest.mark.parametrize(
    "more",
    [b"garbage", OK.replace(b"ok", b"no"), b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ids=["garbage", "a second answer", "an empty second answer"],
)
async def test_what_follows_a_whole_answer_is_dropped_with_its_connection(more: bytes) -> None:
    """F33, T42, T44: it must not become the answer to somebody else's request."""
    async with (
        running_chaos([REQUEST, OK + more, HANG], [REQUEST, OK, HANG]) as chaos,
        calling(chaos.url) as client,
    ):
        async with asyncio.timeout(10):
            for _ in range(2):
                assert await read_all(await client.chat(BODY)) == (b"ok", None)
        assert len(chaos.connections) == 2


async def test_what_comes_when_nobody_asked_costs_the_connection() -> None:
    """T44"""
    go = asyncio.Event()
    async with (
        running_chaos([REQUEST, OK, go, OK.replace(b"ok", b"no"), HANG], [REQUEST, OK]) as chaos,
        calling(chaos.url) as client,
    ):
        assert await read_all(await client.chat(BODY)) == (b"ok", None)
        go.set()
        async with asyncio.timeout(10):
            await chaos.connections[0].over.wait()
            assert await read_all(await client.chat(BODY)) == (b"ok", None)


async def test_trailers_are_not_headers_of_the_next_answer() -> None:
    """T44"""
    trailing = STREAM + b"2\r\nok\r\n0\r\nX-Generation-Id: gen-1\r\n\r\n"
    async with (
        running_chaos([REQUEST, trailing, REQUEST, OK, HANG]) as chaos,
        calling(chaos.url) as client,
    ):
        for _ in range(2):
            response = await client.chat(BODY)
            assert "X-Generation-Id" not in response.headers
            assert await read_all(response) == (b"ok", None)
    assert len(chaos.connections) == 1


@pytest.mark.parametrize(
    ("begins", "goes_on"),
    [(b"0\r\n", b"Trailer: x\r\n"), (b"2;", b"extensions=")],
    ids=["trailers", "a chunk's extension"],
)
async def test_what_frames_a_body_may_not_go_on_without_end(begins: bytes, goes_on: bytes) -> None:
    """F34: nothing of it is ever passed on."""
    flood = goes_on * 100_000  # many reads
    assert await answer(STREAM + chunk(b"ok") + begins, flood, HANG) == (b"ok", C.RESET_MID)


async def test_too_many_headers_are_no_reason_to_ask_again() -> None:
    """F34: not even where a connection that was kept might have died."""
    many = b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 300 + b"\r\n"
    async with (
        running_chaos([REQUEST, OK, REQUEST, many, HANG]) as chaos,
        calling(chaos.url) as client,
    ):
        assert await read_all(await client.chat(BODY)) == (b"ok", None)
        with pytest.raises(UpstreamError) as caught:
            await client.chat(BODY)
        assert caught.value.kind is C.NO_RESPONSE


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nok",
    ],
    ids=["HTTP/1.0", "in a list"],
)
async def test_a_connection_that_will_close_is_not_kept(head: bytes) -> None:
    async with (
        running_chaos([REQUEST, head, HANG], [REQUEST, OK, HANG]) as chaos,
        calling(chaos.url) as client,
    ):
        for _ in range(2):
            assert await read_all(await client.chat(BODY)) == (b"ok", None)
    assert len(chaos.connections) == 2


async def test_an_answer_before_the_body_was_sent_stops_the_upload() -> None:
    """F37"""
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"
    go = asyncio.Event()
    async with running_chaos([go, refusal, HANG]) as chaos, calling(chaos.url) as client:
        call = asyncio.ensure_future(client.chat(b"x" * 50_000_000))
        await until(lambda: chaos.connections and chaos.connections[0].received)
        chaos.connections[0]._transport.pause_reading()
        go.set()
        response = await call
        assert (response.status, await response.body()) == (413, b"no")
        chaos.connections[0]._transport.resume_reading()
        await asyncio.wait_for(chaos.connections[0].over.wait(), 10)
        assert len(chaos.connections[0].received) < 50_000_000


# Sizes


async def test_a_body_over_the_limit_is_refused_and_its_connection_closed() -> None:
    """F35"""
    endless = [chunk(b"x" * 1000)] * 50
    async with running_chaos([REQUEST, STREAM, *endless, HANG]) as chaos, calling(chaos.url) as c:
        response = await c.chat(BODY)
        with pytest.raises(UpstreamError, match="longer than 10000 bytes") as caught:
            await response.body(10_000)
        assert caught.value.kind is C.RESPONSE_TOO_LARGE
        await asyncio.wait_for(chaos.connections[0].over.wait(), 10)


async def test_nothing_is_read_for_a_reader_that_does_not_read() -> None:
    """F31: a slow client must not fill our memory."""
    flood = [chunk(b"x" * 65_536)] * 400
    async with (
        running_chaos([REQUEST, STREAM, *flood, LAST, HANG]) as chaos,
        calling(chaos.url) as c,
    ):
        response = await c.chat(BODY)
        await until(lambda: len(response._buffer) > 128 * 1024)
        await asyncio.sleep(0.02)  # in which more would come
        assert len(response._buffer) < 1_000_000
        body, error = await asyncio.wait_for(read_all(response), 10)
        assert (len(body), error) == (400 * 65_536, None)
        assert response.is_complete()


# Generation ids


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"X-Generation-Id: gen-1", "gen-1"),
        (b"x-generation-id:   gen-2  ", "gen-2"),
        (b"X-Generation-Id: " + b"g" * 500, "g" * 128),
        (b"X-Generation-Id:", None),
        (b"X-Generation-Id: a\xa0b", None),
        (b"X-Other: gen-1", None),
    ],
    ids=["as sent", "spaces", "long", "empty", "unprintable", "absent"],
)
async def test_the_generations_name_is_short_and_printable(
    header: bytes, expected: str | None
) -> None:
    """T17: it goes into rows, logs and a query."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + header + b"\r\n\r\n"
    async with running_chaos([REQUEST, head, HANG]) as chaos, calling(chaos.url) as client:
        assert (await client.chat(BODY)).generation_id == expected


# Passing on


async def test_a_sink_gets_what_had_come_and_then_everything_as_it_comes() -> None:
    go = [asyncio.Event(), asyncio.Event()]
    steps: list[Step] = [STREAM + chunk(b"ab"), go[0], chunk(b"c"), go[1], LAST, HANG]
    sink = Sink()
    async with running_chaos([REQUEST, *steps]) as chaos, calling(chaos.url) as client:
        response = await client.chat(BODY)
        assert await response.block() == b"ab"
        response.attach(sink)
        go[0].set()
        await until(lambda: sink.given == [b"c"])
        go[1].set()
        assert await sink.over() == [b"c", "end"]
        assert response.is_complete()


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([STREAM + chunk(b"ab") + LAST, HANG], [b"ab", "end"]),
        ([STREAM + chunk(b"ab"), RST], [b"ab", C.RESET_MID]),
    ],
    ids=["whole", "broken"],
)
async def test_a_sink_that_comes_late_misses_nothing(
    steps: list[Step], expected: list[Step]
) -> None:
    sink = Sink()
    async with running_chaos([REQUEST, *steps]) as chaos, calling(chaos.url) as client:
        response = await client.chat(BODY)
        await asyncio.sleep(0.02)
        response.attach(sink)
        assert await sink.over() == expected


async def test_a_sink_is_told_of_a_break() -> None:
    """F22"""
    go, sink = asyncio.Event(), Sink()
    async with running_chaos([REQUEST, STREAM, go, RST]) as chaos, calling(chaos.url) as client:
        (await client.chat(BODY)).attach(sink)
        go.set()
        assert await sink.over() == [C.RESET_MID]


async def test_what_comes_behind_a_sink_that_was_detached_is_kept() -> None:
    go, sink = asyncio.Event(), Sink()
    async with (
        running_chaos([REQUEST, STREAM, go, chunk(b"a") + LAST, HANG]) as chaos,
        calling(chaos.url) as client,
    ):
        response = await client.chat(BODY)
        response.attach(sink)
        response.detach()
        go.set()
        assert await read_all(response) == (b"a", None)
        assert sink.given == []


async def test_a_connection_that_was_paused_for_a_sink_flows_again() -> None:
    """F31, F52"""
    flood = [chunk(b"x" * 65_536)] * 50
    sink = Sink()
    async with (
        running_chaos([REQUEST, STREAM, *flood, LAST, HANG]) as chaos,
        calling(chaos.url) as c,
    ):
        response = await c.chat(BODY)
        await until(lambda: len(response._buffer) > 128 * 1024)
        assert not response.is_complete()
        response.attach(sink)
        *blocks, end = await sink.over()
        assert (sum(map(len, blocks)), end) == (50 * 65_536, "end")
