"""Connections without a framework: what they serve, what they leave to aiohttp, how they end."""

import asyncio
import logging
import socket
from collections.abc import Mapping
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_router.demo.upstream import DemoUpstream
from llm_router.errors import RequestTimeout
from llm_router.settings import DeadlineSettings
from llm_router.web.lane import Lane, Service
from llm_router.web.pace import Pace
from llm_router.web.server import Connection
from tests.fakes.server import LITTLE, MUCH, Server, on_linux, read_slowly, serving
from tests.fakes.waiting import until
from tests.integration import client
from tests.integration.client import Caller, chat_body
from tests.integration.conftest import Router, Start, in_shared
from tests.web.lanes import (
    BODY_BYTES,
    CHAT,
    GET,
    Answer,
    calling,
    delivered,
    echo,
    lanes,
    lasting,
    on_aiohttp,
    post,
    reply,
    serving_lanes,
    the_lane,
)
from tests.web.test_server import CORPUS, send

# What a lane serves


@pytest.mark.parametrize("path", [CHAT, "/v1" + CHAT])
async def test_an_ordinary_chat_request_is_served_on_the_lane(path: bytes) -> None:
    async with serving_lanes() as server, calling(server) as caller:
        caller.writer.write(post(b"hi", path=str(path)))
        assert await reply(caller) == ("lane", b"hi")
        assert len(lanes(server)) == 1


async def test_a_request_may_arrive_in_two_pieces_cut_anywhere() -> None:
    """F61"""
    raw = post(b'{"a": 1}', "X-Session-Id: s")
    async with serving_lanes() as server, calling(server) as caller:
        for cut in range(1, len(raw)):
            caller.writer.write(raw[:cut])
            await delivered()
            caller.writer.write(raw[cut:])
            assert await reply(caller) == ("lane", b'{"a": 1}')


async def test_a_request_may_arrive_byte_by_byte() -> None:
    async with serving_lanes() as server, calling(server) as caller:
        for byte in post(b'{"a": 1}'):
            caller.writer.write(bytes([byte]))
            await delivered()
        assert await reply(caller) == ("lane", b'{"a": 1}')


async def test_the_same_head_may_come_again_with_whatever_length_its_body_has() -> None:
    """F62, T15: what differs from the head before is read anew."""

    async def told(lane: Lane) -> None:
        names = {name: lane.headers.get(name, "") for name in ("x-way", "x-session-id")}
        await lane.whole(200, names, await lane.body())

    asked = [
        *((b"1", "a"), (b"22", "a"), (b"", "a"), (b"4" * 1000, "a")),
        *((b"5", "b"), (b"6", "b"), (b"7", ""), (b"88", "a")),
    ]
    async with serving_lanes(told) as server, calling(server) as caller:
        for body, session in asked:
            caller.writer.write(post(body, "X-Way: lane", f"X-Session-Id: {session}"))
        replies = [await caller.reply() for _ in asked]
    assert [(each.body, each.headers["x-session-id"]) for each in replies] == asked


async def test_a_head_that_comes_again_may_announce_too_long_a_body() -> None:
    """F54"""
    async with serving_lanes() as server, calling(server) as caller:
        caller.writer.write(post(b"1") + post(b"x" * (BODY_BYTES + 1)))
        assert await reply(caller) == ("lane", b"1")
        assert (await caller.reply()).status == 413


async def test_requests_in_one_packet_are_answered_one_after_another() -> None:
    """F61: the second one begins when the first is answered."""
    order: list[bytes] = []

    async def slow_first(lane: Lane) -> None:
        body = await lane.body()
        order.append(b"begin " + body)
        await asyncio.sleep(0.02 if body == b"1" else 0)
        order.append(b"end " + body)
        await lane.whole(200, {"x-way": "lane"}, body)

    async with serving_lanes(slow_first) as server, calling(server) as caller:
        caller.writer.write(post(b"1") + post(b"") + post(b"3"))
        assert [await reply(caller) for _ in range(3)] == [
            ("lane", b"1"),
            ("lane", b""),
            ("lane", b"3"),
        ]
    assert order == [b"begin 1", b"end 1", b"begin ", b"end ", b"begin 3", b"end 3"]


async def test_others_have_their_turn_between_requests_that_came_at_once() -> None:
    """F61, T19: also where none of them has to be waited for."""
    order: list[str] = []

    async def at_once(lane: Lane) -> None:
        order.append("answer")
        asyncio.get_running_loop().call_soon(order.append, "other")
        await echo(lane)

    async with serving_lanes(at_once) as server, calling(server) as caller:
        caller.writer.write(post(b"1") + post(b"2") + post(b"3"))
        assert [await reply(caller) for _ in range(3)] == [("lane", b"%d" % n) for n in (1, 2, 3)]
        await delivered()
    assert order == ["answer", "other"] * 3


async def test_a_client_that_sends_far_ahead_is_held_back() -> None:
    """F61, T19: what it sends before its turn would lie in memory."""
    let_go = asyncio.Event()

    async def held(lane: Lane) -> None:
        body = await lane.body()
        await let_go.wait()
        await lane.whole(200, {"x-way": "lane"}, body)

    requests = [post(b"%d" % n + b"x" * 20_000) for n in range(9)]
    async with serving_lanes(held) as server, calling(server) as caller:
        caller.writer.write(b"".join(requests))
        lane = await the_lane(server)
        await until(lambda: lane.transport is not None and not lane.transport.is_reading())
        let_go.set()
        answers = [await reply(caller) for _ in requests]
        assert [(way, body[:2]) for way, body in answers] == [
            ("lane", b"%dx" % n) for n in range(9)
        ]
        assert lane.transport is not None
        assert lane.transport.is_reading()


@pytest.mark.parametrize("body", [b"", b"{}"], ids=["no body", "a body"])
async def test_a_client_that_wants_it_so_is_closed_after_the_answer(body: bytes) -> None:
    """F61: whatever it sends behind that is not answered."""
    async with serving_lanes() as server:
        answer = await send(server, post(body, "Connection: Close") + post())
    head, _, received = answer.partition(b"\r\n\r\n")
    assert b"\r\nConnection: close" in head
    assert received == body


# What it leaves to aiohttp


async def test_a_connection_stays_with_aiohttp_once_it_is_there() -> None:
    async with serving_lanes() as server, calling(server) as caller:
        caller.writer.write(post(b"1"))
        assert await reply(caller) == ("lane", b"1")
        caller.writer.write(GET)
        assert await reply(caller) == ("aiohttp", b"")
        caller.writer.write(post(b"2"))
        assert await reply(caller) == ("aiohttp", b"2")
        [connection] = server.runner.clients()
        assert isinstance(connection, Connection)


async def test_it_goes_there_with_everything_behind_it() -> None:
    """F61"""
    async with serving_lanes() as server, calling(server) as caller:
        caller.writer.write(post(b"1") + GET + post(b"2"))
        answers = [await reply(caller) for _ in range(3)]
        assert answers == [("lane", b"1"), ("aiohttp", b""), ("aiohttp", b"2")]


CLOSE = "Connection: close"
ODD = {
    **CORPUS,
    "GET": GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    "no request to the end": b"POST /models",
    "unknown path": post(b"{}", CLOSE, path="/v1/nothing"),
    "query": post(b"{}", CLOSE, path=CHAT + "?a=b"),
    "chunks": post(b"2\r\n{}\r\n0\r\n\r\n", CLOSE, "Transfer-Encoding: chunked").replace(
        b"Content-Length: 12\r\n", b""
    ),
    "broken chunks": post(b"zz\r\n", "Transfer-Encoding: chunked").replace(
        b"Content-Length: 4\r\n", b""
    ),
    "length and chunks, for a chat": post(b"0\r\n\r\n", "Transfer-Encoding: chunked"),
    "two lengths, for a chat": post(b"{}", "Content-Length: 2", "content-length: 3"),
    "two hosts, for a chat": post(b"{}", CLOSE, "Host: a", "Host: b"),
    "a header twice": post(b"{}", CLOSE, "X: 1", "X: 1"),
    "expectation": post(b"{}", CLOSE, "Expect: 100-continue"),
    "HTTP/1.0": post(b"{}", version="1.0"),
    "too long": post(b"x" * (BODY_BYTES + 1), CLOSE),
    "long header": post(b"{}", CLOSE, "X: " + "x" * 9_000),
    "two long headers": post(b"{}", CLOSE, "X: " + "x" * 5_000, "Y: " + "y" * 5_000),
    "bare line feed": post(b"{}").replace(b"\r\nContent", b"\nContent"),
    "folded": post(b"{}", "X: a\r\n b"),
    "space before a colon": post(b"{}", "X : a"),
}


@pytest.mark.parametrize("raw", ODD.values(), ids=ODD)
@pytest.mark.parametrize("pieces", [1, 2])
async def test_what_is_odd_is_answered_as_if_there_were_no_lanes(raw: bytes, pieces: int) -> None:
    """F54, F60, F61, F62, T15"""
    async with serving_lanes() as server, serving(on_aiohttp) as without:
        answers = [await say(each, raw, pieces) for each in (server, without)]
    assert b"x-way: lane" not in answers[0]
    assert lasting(answers[0]) == lasting(answers[1])


async def say(server: Server, raw: bytes, pieces: int) -> bytes:
    """Return everything that is said to some bytes, until the connection is closed."""
    middle = len(raw) // 2 if pieces == 2 else 0
    async with calling(server) as caller:
        answer = asyncio.ensure_future(caller.reader.read())
        caller.writer.write(raw[:middle])
        await delivered()
        if not answer.done():
            caller.writer.write(raw[middle:])
            if b"\r\n\r\n" not in raw:
                caller.writer.write_eof()
        return await asyncio.wait_for(answer, 10)


# Two ways, one answer

ASKED = {
    "plain": chat_body(),
    "stream": chat_body(stream=True),
    "no JSON": b"{",
    "wrong type": chat_body(stream="yes"),
    "key twice": b'{"model":"a","model":"b","messages":[1]}',
    "unknown category": chat_body(model="router/nothing"),
    "unknown model": chat_body(model="no-such"),
}


@in_shared
@pytest.mark.parametrize("body", ASKED.values(), ids=ASKED)
async def test_a_chat_gets_the_same_answer_both_ways(shared: Router, body: Any) -> None:
    """F56, F57, F58, F60"""
    await assert_same(shared, client.request(body))


@in_shared
@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}], ids=["host", "page"]
)
async def test_so_does_one_that_is_not_let_in(shared: Router, headers: Mapping[str, str]) -> None:
    await assert_same(shared, client.request(chat_body(), headers=headers))


async def test_so_does_one_without_its_key(start: Start) -> None:
    async with start(server={"client_keys": ["laptop:" + "b" * 16]}) as router:
        await assert_same(router, client.request(chat_body()))


async def test_so_does_one_that_the_provider_refuses(
    router: Router, upstream: DemoUpstream
) -> None:
    upstream.fail("z-ai/glm-5", status=400, times=2)
    [one, _] = await assert_same(router, client.request(chat_body()))
    assert one.status == 400


async def test_so_does_one_that_breaks_off(router: Router, upstream: DemoUpstream) -> None:
    upstream.fail("z-ai/glm-5", status=502, via="event", after=3, times=2)
    [one, _] = await assert_same(router, client.request(chat_body(stream=True)))
    assert not one.is_whole


async def test_so_does_one_at_which_we_break(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise KeyError("oh")

    monkeypatch.setattr("llm_router.proxy.body.ChatBody.for_model", broken)
    [one, _] = await assert_same(router, client.request(chat_body(stream=True)))
    assert one.status == 500


async def test_so_does_one_whose_body_is_late(start: Start) -> None:
    """F53"""
    async with start(deadlines={"body_s": 0.05}) as router:
        raw = client.request(b"{", headers={"Content-Length": "3"})
        one, other = [await ask(router, each) for each in (raw, oddly(raw))]
    assert (one.status, one.error) == (other.status, other.error)
    assert one.headers["connection"] == "close"


async def assert_same(router: Router, raw: bytes) -> list[client.Reply]:
    """Ask on a lane and at aiohttp's; the answers may differ in their ids and dates only."""
    replies = [await ask(router, each) for each in (raw, oddly(raw))]
    one, other = (
        (each.status, comparable(each.headers), lasting(each.body), each.is_whole)
        for each in replies
    )
    assert one == other
    return replies


def comparable(headers: Mapping[str, str]) -> dict[str, str]:
    changing = ("date", "x-router-request-id", "x-generation-id")
    return {name: "-" if name in changing else value for name, value in headers.items()}


def oddly(raw: bytes) -> bytes:
    """Return a request with something in it that a lane does not take."""
    return raw.replace(b"\r\n", b"\r\nX-Odd: 1\r\nX-Odd: 1\r\n", 1)


async def ask(router: Router, raw: bytes) -> client.Reply:
    async with client.calling(router.url) as caller:
        caller.writer.write(raw)
        answer = await caller.reply()
        is_odd = b"X-Odd" in raw
        kinds = {type(each) for each in router.runner.clients() if each.transport is not None}
        assert not kinds or (Connection if is_odd else Lane) in kinds
        return answer


# Deadlines


@pytest.mark.parametrize("before", [b"", post()], ids=["at once", "after an answer"])
@pytest.mark.parametrize("begun", [b"P", post()[:-3]], ids=["one byte", "nearly all"])
async def test_headers_that_do_not_arrive_in_time_close_the_lane(
    before: bytes, begun: bytes
) -> None:
    """F53, T19"""
    async with serving_lanes(deadlines=DeadlineSettings(header_s=0.05)) as server:
        answer = await send(server, before + begun)
        assert answer.count(b"HTTP/1.1") == bool(before)


async def test_headers_that_trickle_in_are_no_better() -> None:
    """F53"""
    deadlines = DeadlineSettings(header_s=0.05)
    async with serving_lanes(deadlines=deadlines) as server, calling(server) as caller:
        closed = asyncio.ensure_future(caller.reader.read())
        caller.writer.write(post()[:-4])
        async with asyncio.timeout(10):
            while not closed.done():
                caller.writer.write(b"x")
                await asyncio.sleep(0.005)
        assert isinstance(closed.exception(), ConnectionError | None)


@pytest.mark.parametrize("before", [b"", post(b"hi")], ids=["at once", "after an answer"])
async def test_an_idle_lane_is_closed_in_the_end(before: bytes) -> None:
    """F53"""
    deadlines = DeadlineSettings(connection_idle_s=0.05, header_s=0.05)
    async with serving_lanes(deadlines=deadlines) as server:
        assert (await send(server, before)).endswith(b"hi" if before else b"")


async def test_an_answer_may_take_longer_than_anything_else() -> None:
    async def slow(lane: Lane) -> None:
        await asyncio.sleep(0.15)
        await echo(lane)

    deadlines = DeadlineSettings(connection_idle_s=0.05, header_s=0.05, write_s=0.05)
    async with serving_lanes(slow, deadlines) as server, calling(server) as caller:
        caller.writer.write(post(b"hi"))
        assert await reply(caller) == ("lane", b"hi")


# Clients that read slowly, or not at all


async def much(lane: Lane) -> None:
    await lane.whole(200, {}, b"x" * 5_000_000)


async def much_in_blocks(lane: Lane) -> None:
    await lane.open({})
    while True:
        assert lane.transport is not None
        lane.transport.write(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
        await lane.drain()


@pytest.mark.parametrize("answer", [much, much_in_blocks])
async def test_a_client_that_reads_nothing_is_dropped(answer: Answer) -> None:
    """F51"""
    deadlines = DeadlineSettings(write_s=0.05)
    async with serving_lanes(answer, deadlines, kernel_bytes=LITTLE) as server:
        sock = server.connect_narrowly()
        sock.sendall(post())
        await the_lane(server)
        await until(lambda: not lanes(server))
        sock.close()


@on_linux
async def test_a_client_that_reads_slowly_gets_everything() -> None:
    """F52"""
    size = 1_200_000

    async def big(lane: Lane) -> None:
        await lane.whole(200, {}, b"x" * size)

    deadlines = DeadlineSettings(write_s=0.2)
    async with serving_lanes(big, deadlines, kernel_bytes=MUCH) as server:
        sock = server.connect_narrowly()
        sock.sendall(post(b"{}", CLOSE))
        received = await asyncio.to_thread(read_slowly, sock)
        sock.close()
    assert received.endswith(b"\r\n\r\n" + b"x" * size)


# Clients that leave


async def leave(caller: Caller, how: str) -> None:
    if how == "resets":
        caller.transport.abort()
    elif how == "closes":
        caller.writer.close()
    else:
        caller.writer.write_eof()


class Watched:
    """An answer that says when it has begun, and how it ended."""

    def __init__(self, answer: Answer) -> None:
        self.began, self.ended = asyncio.Event(), asyncio.Event()
        self.error: BaseException | None = None
        self._answer = answer

    async def __call__(self, lane: Lane) -> None:
        self.began.set()
        try:
            await self._answer(lane)
        except BaseException as exc:
            self.error = exc
            raise
        finally:
            self.ended.set()


async def wait(lane: Lane) -> None:
    await asyncio.Event().wait()


async def wait_for_body(lane: Lane) -> None:
    await lane.body()


@pytest.mark.parametrize("answer", [wait, wait_for_body, much, much_in_blocks])
@pytest.mark.parametrize("how", ["resets", "closes", "half-closes"])
async def test_a_client_that_leaves_cancels_its_handler(answer: Answer, how: str) -> None:
    """F47, F50: a generation would go on, and be paid for."""
    watched = Watched(answer)
    async with serving_lanes(watched, kernel_bytes=LITTLE) as server, calling(server) as caller:
        caller.transport.pause_reading()
        caller.writer.write(post(b"", "Content-Length: 9"))
        await watched.began.wait()
        await delivered()
        await leave(caller, how)
        if how == "half-closes":
            caller.transport.resume_reading()
            await asyncio.wait_for(caller.reader.read(), 10)  # it may want all there is
        await asyncio.wait_for(watched.ended.wait(), 10)
        assert isinstance(watched.error, asyncio.CancelledError | ConnectionError)
        caller.transport.abort()
        await until(lambda: not lanes(server))


@pytest.mark.parametrize("cut", [0, 1, 40, len(post()) - 1])
async def test_a_client_may_leave_at_any_moment(cut: int, caplog: pytest.LogCaptureFixture) -> None:
    """F50"""
    async with serving_lanes() as server:
        async with calling(server) as caller:
            caller.writer.write(post()[:cut])
            await the_lane(server)
        await until(lambda: not lanes(server))
        async with calling(server) as caller:
            caller.writer.write(post())
            assert await reply(caller) == ("lane", b"{}")
    assert not caplog.records


async def test_an_answer_for_one_who_has_left_is_refused() -> None:
    """F50"""
    errors: list[Exception] = []

    async def stubborn(lane: Lane) -> None:
        try:
            await wait(lane)
        except asyncio.CancelledError:
            assert lane.get_extra_info("peername", "nobody") == "nobody"
            for answer in (lane.whole(200, {}, b""), lane.open({}), lane.drain(), lane.end()):
                try:
                    await answer
                except ConnectionError as exc:
                    errors.append(exc)

    watched = Watched(stubborn)
    async with serving_lanes(watched) as server, calling(server) as caller:
        caller.writer.write(post())
        await watched.began.wait()
        caller.transport.abort()
        await asyncio.wait_for(watched.ended.wait(), 10)
    assert len(errors) == 4


# A server that goes


async def test_idle_lanes_are_closed_when_the_server_stops_taking_requests() -> None:
    """F66"""
    async with serving_lanes() as server, calling(server) as caller:
        caller.writer.write(post() + b"POST")
        assert (await reply(caller))[0] == "lane"
        assert server.runner.server is not None
        server.runner.server.pre_shutdown()
        assert await asyncio.wait_for(caller.reader.read(), 10) == b""


async def test_a_busy_lane_is_closed_after_its_answer() -> None:
    """F66: and its client is told so."""
    let_go = asyncio.Event()

    async def held(lane: Lane) -> None:
        await let_go.wait()
        await echo(lane)

    async with serving_lanes(held) as server, calling(server) as caller:
        for body in (b"hi", b"ho"):
            caller.writer.write(post(body))
            await the_lane(server)
            await delivered()
        assert server.runner.server is not None
        server.runner.server.pre_shutdown()
        let_go.set()
        answer = await asyncio.wait_for(caller.reader.read(), 10)
        assert b"\r\nConnection: close\r\n" in answer
        assert answer.endswith(b"\r\n\r\nhi")


async def test_each_answer_is_the_last_one_while_the_server_drains() -> None:
    """F66: a client that is told so opens another connection, where somebody else serves."""
    is_ending = False
    chat = Service(echo, 10, BODY_BYTES, lambda: is_ending)
    async with serving(on_aiohttp, chat=chat) as server, calling(server) as caller:
        caller.writer.write(post())
        assert "connection" not in (await caller.reply()).headers
        is_ending = True
        caller.writer.write(post())
        assert (await caller.reply()).headers["connection"] == "close"
        assert await asyncio.wait_for(caller.reader.read(), 10) == b""


async def test_a_request_may_end_while_the_server_shuts_down() -> None:
    async def slow(lane: Lane) -> None:
        await asyncio.sleep(0.05)
        await echo(lane)

    watched = Watched(slow)
    async with serving_lanes(watched) as server, calling(server) as caller:
        caller.writer.write(post(b"hi"))
        await watched.began.wait()
        assert server.runner.server is not None
        await server.runner.server.shutdown(10)
        assert (await asyncio.wait_for(caller.reader.read(), 10)).endswith(b"hi")


async def refuse_to_go(lane: Lane) -> None:
    try:
        await wait(lane)
    except asyncio.CancelledError:
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("answer", [wait, refuse_to_go])
async def test_one_that_does_not_end_is_cut(answer: Answer) -> None:
    """F67"""
    watched = Watched(answer)
    async with serving_lanes(watched) as server, calling(server) as caller:
        caller.writer.write(post())
        await watched.began.wait()
        assert server.runner.server is not None
        await server.runner.server.shutdown(0.01)
        assert await asyncio.wait_for(caller.reader.read(), 10) == b""
        await watched.ended.wait()


# Connections


async def test_a_client_that_vanished_without_a_word_is_noticed_by_the_system() -> None:
    """F50"""
    async with serving_lanes() as server, calling(server):
        sock = (await the_lane(server)).get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


class Gone:
    """A socket whose other end has left before it was looked at, as macOS shows it."""

    def setsockopt(self, *option: int) -> None:
        raise OSError("Invalid argument")


@pytest.mark.parametrize("sock", [None, Gone()], ids=["no socket", "one that is gone"])
async def test_a_connection_needs_no_socket(sock: Gone | None) -> None:
    lane = Lane(Service(echo, 1, 1), lambda *_: None, set(), Pace(DeadlineSettings()))
    lane.connection_made(asyncio.Transport({"socket": sock}))
    assert lane.get_extra_info("socket") is sock


# Anything at all

PIECES = st.lists(
    st.sampled_from(
        [
            *(
                post(),
                post(b""),
                post(b"x" * 300),
                post(b"{}", "X: a"),
                post(b"a", "Connection: x"),
            ),
            *(GET, post(b"{}", "X: 1", "X: 1"), post(b"{}", path="/else")),
        ]
    ),
    min_size=1,
    max_size=5,
)
CUTS = st.lists(st.integers(0, 1500), max_size=12)


@given(PIECES, CUTS)
@settings(suppress_health_check=[HealthCheck.too_slow])
async def test_how_requests_are_packed_changes_nothing(
    requests: list[bytes], cuts: list[int]
) -> None:
    """F61, T15: neither pipelining nor cutting does."""
    raw = b"".join(requests)
    places = sorted({0, *(cut for cut in cuts if cut < len(raw)), len(raw)})
    async with serving_lanes() as server:
        async with calling(server) as caller:
            one_by_one = []
            for request in requests:
                caller.writer.write(request)
                one_by_one.append(await reply(caller))
        async with calling(server) as caller:
            for begin, end in pairwise(places):
                caller.writer.write(raw[begin:end])
                await delivered()
            assert [await reply(caller) for _ in requests] == one_by_one


BITS = st.sampled_from(
    [
        *(b"POST ", b"/chat/completions", b" HTTP/1.1", b"\r\n", b"\r\n\r\n", b"\n", b":", b" "),
        *(b"Host: a\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"abc"),
        *(b"Content-Length: ", b"99999999999999999999", b"Connection: close\r\n", post(b"hi"), GET),
        *(post()[:-2], b"Expect: 100-continue\r\n", b"0\r\n\r\n", b"\x16\x03\x01", b"\0"),
    ]
) | st.binary(max_size=20)
HASTY = DeadlineSettings(header_s=0.01, connection_idle_s=0.01)


@given(st.lists(BITS, max_size=12).map(b"".join))
@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
async def test_whatever_is_sent_the_server_answers_or_closes(
    caplog: pytest.LogCaptureFixture, raw: bytes
) -> None:
    """F61, F62, T15, T19: it never waits for ever, and has nothing to say about it."""

    async def hasty(lane: Lane) -> None:
        try:
            await echo(lane)
        except RequestTimeout:
            await lane.whole(408, {}, b"")

    async with serving_lanes(hasty, HASTY, body_s=0.01) as server, calling(server) as caller:
        caller.writer.write(raw)
        await until(server.runner.clients)
        await until(lambda: not lanes(server))
        with suppress(OSError, RuntimeError):  # closed already
            caller.writer.write_eof()  # what aiohttp's server took, it closes with its client
        try:
            answer = await asyncio.wait_for(caller.reader.read(), 10)
        except ConnectionError:
            answer = b""
        assert answer == b"" or answer.startswith(b"HTTP/1.")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
