"""What whoever answers a request on a lane can do: take its body, answer it, break."""

import asyncio

import pytest

from llm_router.errors import ClientGone, RequestTimeout
from llm_router.settings import DeadlineSettings
from llm_router.web.lane import Lane
from tests.fakes.waiting import until
from tests.web.lanes import Answer, calling, lanes, post, reply, serving_lanes
from tests.web.test_server import send

# Bodies


async def test_a_body_that_trickles_is_not_waited_for_for_ever() -> None:
    """F53, T19"""

    async def patient(lane: Lane) -> None:
        with pytest.raises(RequestTimeout, match=r"did not arrive within 0\.05 s"):
            await lane.body()
        await lane.whole(408, {}, b"late")

    async with serving_lanes(patient, body_s=0.05) as server, calling(server) as caller:
        caller.writer.write(post(b"", "Content-Length: 9999"))
        answer = asyncio.ensure_future(caller.reader.read())
        async with asyncio.timeout(10):
            while not answer.done():
                caller.writer.write(b"x")
                await asyncio.sleep(0.005)
        assert answer.result().startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b"\r\nConnection: close\r\n" in answer.result()
        assert answer.result().endswith(b"\r\n\r\nlate")


async def refuse(lane: Lane) -> None:
    await lane.whole(401, {}, b"no")


async def test_an_answer_to_a_body_that_is_still_coming_arrives() -> None:
    """F54: a connection closed with something unread is reset, and the answer may be lost."""
    size = 20_000_000
    async with serving_lanes(refuse, body_bytes=size) as server, calling(server) as caller:
        caller.writer.write(post(b"", f"Content-Length: {size}"))
        await until(lambda: lanes(server))
        caller.writer.write(b"x" * size)
        await caller.writer.drain()
        answer = await asyncio.wait_for(caller.reader.read(), 10)
        assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
        assert b"\r\nConnection: close\r\n" in answer
        assert answer.endswith(b"\r\n\r\nno")
        caller.writer.close()
        await until(lambda: not lanes(server))


async def test_a_client_that_does_not_see_it_is_dropped() -> None:
    """F53"""
    deadlines = DeadlineSettings(header_s=0.05)
    async with serving_lanes(refuse, deadlines) as server, calling(server) as caller:
        caller.writer.write(post(b"", "Content-Length: 9"))
        assert (await asyncio.wait_for(caller.reader.read(), 10)).endswith(b"no")
        await until(lambda: not lanes(server))


@pytest.mark.parametrize("status", [400, 413])
async def test_after_some_errors_the_connection_is_not_used_again(status: int) -> None:
    async def refuse(lane: Lane) -> None:
        await lane.body()
        await lane.whole(status, {}, b"no")

    async with serving_lanes(refuse) as server:
        answer = await send(server, post() + post())
    assert answer.count(b"HTTP/1.1") == 1
    assert b"\r\nConnection: close\r\n" in answer


# Answers


async def test_a_status_that_nobody_has_named_has_no_phrase() -> None:
    async def overloaded(lane: Lane) -> None:
        await lane.whole(529, {}, b"")

    async with serving_lanes(overloaded) as server, calling(server) as caller:
        caller.writer.write(post())
        assert await caller.until(b"\r\n") == b"HTTP/1.1 529 \r\n"


async def test_an_answer_may_be_a_stream() -> None:
    async def stream(lane: Lane) -> None:
        await lane.open({"x-way": "lane"})
        assert lane.transport is not None
        lane.transport.write(b"5\r\nhello\r\n")
        await lane.end()

    async with serving_lanes(stream) as server, calling(server) as caller:
        for _ in range(2):
            caller.writer.write(post())
            assert await reply(caller) == ("lane", b"hello")


# Answers that break


async def nothing(lane: Lane) -> None:
    await lane.body()


async def break_before(lane: Lane) -> None:
    raise KeyError("oh")


async def break_within(lane: Lane) -> None:
    await lane.open({})
    assert lane.transport is not None
    lane.transport.write(b"5\r\nhello\r\n")
    raise KeyError("oh")


async def answer_twice(lane: Lane) -> None:
    await lane.whole(200, {}, b"one")
    await lane.whole(200, {}, b"two")


async def answer_within(lane: Lane) -> None:
    await lane.open({})
    await lane.whole(500, {}, b"two")


async def lose(lane: Lane) -> None:
    await lane.open({})
    raise ConnectionError("cut")


async def abandon(lane: Lane) -> None:
    raise ClientGone("stopped reading")


def forging(name: str, value: str) -> Answer:
    async def forge(lane: Lane) -> None:
        await lane.whole(200, {name: value}, b"")

    return forge


BREAKING: dict[str, tuple[Answer, str, bool]] = {
    "says nothing": (nothing, "nothing", False),
    "breaks before": (break_before, "nothing", True),
    "breaks within": (break_within, "cut", True),
    "answers twice": (answer_twice, "whole", False),
    "answers within": (answer_within, "cut", False),
    "loses upstream": (lose, "cut", False),
    "gives up": (abandon, "nothing", False),
    "line feed in a header": (forging("x-a", "b\nx-c: d"), "nothing", True),
    "line break in a header": (forging("x-a", "b\r\n\r\nHTTP/1.1 200 OK"), "nothing", True),
    "line break in a name": (forging("x-a: b\r\nx-c", "d"), "nothing", True),
    "carriage return in a header": (forging("x-a", "b\rx-c: d"), "nothing", True),
    "NUL in a header": (forging("x-a", "b\0"), "nothing", True),
    "half a character in a header": (forging("x-a", "\udcff"), "nothing", True),
}


@pytest.mark.parametrize(("answer", "said", "is_logged"), BREAKING.values(), ids=BREAKING)
async def test_an_answer_that_breaks_is_cut_and_never_taken_for_whole(
    answer: Answer, said: str, is_logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """F65: nobody is left to wait, and nothing follows that could be taken for another answer."""
    async with serving_lanes(answer) as server:
        received = await send(server, post() + post())
        assert not lanes(server)
    assert received.count(b"HTTP/1.1") == (said != "nothing")
    assert (b"chunked" in received) is (said == "cut")
    assert b"\r\n0\r\n\r\n" not in received
    assert received.endswith(b"one") is (said == "whole")
    assert [record.levelname for record in caplog.records] == ["ERROR"] * is_logged
