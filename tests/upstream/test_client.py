"""What is sent to the provider, and what a broken call is taken for."""

import asyncio

import pytest

from llm_router import __version__
from llm_router.errors import UpstreamError
from llm_router.routing.failures import FailureClass
from llm_router.upstream.client import APP_URL, UpstreamClient
from tests.fakes.chaos import FIN, HANG, REQUEST, RST, Connection, Step, running_chaos
from tests.fakes.waiting import until
from tests.upstream.conftest import KEY, calling

C = FailureClass
BODY = b'{"model":"z-ai/glm-5"}'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def request_of(connection: Connection) -> tuple[str, dict[str, str], bytes]:
    """Return the request line, the headers and the body of the one request that came."""
    head, _, body = bytes(connection.received).partition(b"\r\n\r\n")
    line, *headers = head.decode("latin-1").split("\r\n")
    pairs = [header.split(": ", 1) for header in headers]
    names = [name.lower() for name, _ in pairs]
    assert len(set(names)) == len(names)
    return line, {name.lower(): value for name, value in pairs}, body


async def broken(client: UpstreamClient) -> FailureClass:
    with pytest.raises(UpstreamError) as caught:
        await client.chat(BODY)
    assert str(caught.value)
    return caught.value.kind


# What is sent


async def test_a_call_carries_our_key_and_what_openrouter_wants_to_know() -> None:
    async with running_chaos([REQUEST, OK, HANG]) as chaos, calling(chaos.url) as client:
        response = await client.chat(BODY, headers={"x-session-id": "s-1"})
        assert (response.status, await response.body()) == (200, b"{}")
        line, headers, body = request_of(chaos.connections[0])
    assert line == "POST /api/v1/chat/completions HTTP/1.1"
    assert body == BODY
    assert headers == {
        "host": chaos.url.removeprefix("http://"),
        "authorization": f"Bearer {KEY}",
        "accept": "application/json, text/event-stream",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": str(len(BODY)),
        "user-agent": f"llm-router/{__version__}",
        "http-referer": APP_URL,
        "x-openrouter-title": "llm-router",
        "x-session-id": "s-1",
    }


async def test_without_a_key_none_is_sent() -> None:
    async with running_chaos([REQUEST, OK, HANG]) as chaos, calling(chaos.url, key=None) as client:
        await client.chat(BODY)
        assert "authorization" not in request_of(chaos.connections[0])[1]


async def test_a_long_body_arrives_whole() -> None:
    body = b"x" * 5_000_000
    async with running_chaos([REQUEST, OK, HANG]) as chaos, calling(chaos.url) as client:
        await client.chat(body)
        assert request_of(chaos.connections[0])[2] == body


# Connections of the pool


async def test_a_connection_serves_again() -> None:
    async with (
        running_chaos([REQUEST, OK, REQUEST, OK, HANG]) as chaos,
        calling(chaos.url) as client,
    ):
        for _ in range(2):
            response = await client.chat(BODY)
            assert await response.body() == b"{}"
    assert len(chaos.connections) == 1


@pytest.mark.parametrize("end", [FIN, RST], ids=["closed", "reset"])
async def test_a_pooled_connection_that_died_is_told_from_a_new_one(end: Step) -> None:
    """F07: its like closes on idle connections all the time, and nothing of an answer had come."""
    async with (
        running_chaos([REQUEST, OK, REQUEST, end], [REQUEST, OK, HANG]) as chaos,
        calling(chaos.url) as client,
    ):
        await (await client.chat(BODY)).body()
        assert await broken(client) is C.STALE_CONNECTION
        response = await client.chat(BODY, on_new_connection=True)
        assert await response.body() == b"{}"
        assert len(chaos.connections) == 2
        assert chaos.connections[1].received.endswith(BODY)


async def test_a_pooled_connection_known_to_be_dead_is_not_used() -> None:
    """F07"""
    async with (
        running_chaos([REQUEST, OK], [REQUEST, OK, HANG]) as chaos,
        calling(chaos.url) as client,
    ):
        await (await client.chat(BODY)).body()
        await chaos.connections[0].over.wait()
        await asyncio.sleep(0.01)
        await (await client.chat(BODY)).body()
        assert chaos.connections[0].received.count(BODY) == 1


async def test_looking_something_up_replaces_a_dead_connection_once() -> None:
    """F07: to ask twice costs nothing there."""
    async with (
        running_chaos([REQUEST, OK, REQUEST, RST], [REQUEST, OK, REQUEST, RST], [RST]) as chaos,
        calling(chaos.url) as client,
    ):
        for _ in range(2):
            assert await client.get_json("key", timeout_s=5) == (200, {})
        with pytest.raises(UpstreamError):
            await client.get_json("key", timeout_s=5)
        assert len(chaos.connections) == 3


async def test_an_answer_that_had_begun_is_not_asked_for_again() -> None:
    """F07: it might be charged twice."""
    async with (
        running_chaos([REQUEST, OK, REQUEST, b"HTTP/1.1 2", RST], [REQUEST, OK]) as chaos,
        calling(chaos.url) as client,
    ):
        await (await client.chat(BODY)).body()
        assert await broken(client) is C.NO_RESPONSE
        assert len(chaos.connections) == 1


async def test_a_new_connection_that_breaks_is_not_tried_again() -> None:
    async with running_chaos([REQUEST, RST]) as chaos, calling(chaos.url) as client:
        assert await broken(client) is C.NO_RESPONSE
        assert len(chaos.connections) == 1


async def test_an_answer_that_was_not_read_to_its_end_costs_its_connection() -> None:
    """F47: closing is what makes the provider stop."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
    async with (
        running_chaos([REQUEST, head, HANG], [REQUEST, OK, HANG]) as chaos,
        calling(chaos.url) as client,
    ):
        response = await client.chat(BODY)
        assert await response.block() == b"half"
        assert not response.is_complete()
        response.close()
        await asyncio.wait_for(chaos.connections[0].over.wait(), 10)
        await (await client.chat(BODY)).body()
    assert len(chaos.connections) == 2


async def test_a_call_that_is_cancelled_closes_its_connection() -> None:
    """F19, F47"""
    async with running_chaos([REQUEST, HANG]) as chaos, calling(chaos.url) as client:
        call = asyncio.ensure_future(client.chat(BODY))
        await until(lambda: chaos.connections and chaos.connections[0].received.endswith(BODY))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(chaos.connections[0].over.wait(), 10)


# What breaks before an answer


@pytest.mark.parametrize(
    "steps",
    [
        [RST],
        [REQUEST],
        [REQUEST, RST],
        [REQUEST, b"HTTP/1.1 200 OK\r\nContent-", RST],
        [REQUEST, b"HTTP/1.1 200 OK\r\nContent-Type: a"],
        [REQUEST, b"SSH-2.0-OpenSSH_9.6\r\n"],
        [REQUEST, b"\x15\x03\x01\x00\x02\x02\x16"],
        [REQUEST, b"<html>Bad gateway</html>"],
        [REQUEST, b"HTTP/1.1 abc OK\r\n\r\n"],
        [REQUEST, b"HTTP/1.1 200 OK\r\nA b\r\n\r\n"],
        [REQUEST, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"],
        [REQUEST, b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"],
        [
            REQUEST,
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        ],
        [REQUEST, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"],
        [REQUEST, b"HTTP/1.1 100 Continue\r\n\r\n" * 1000],
        [REQUEST, b"HTTP/1.1 200 OK\r\nA: " + b"x" * 300_000 + b"\r\n\r\n"],
        [REQUEST, b"HTTP/1.1 200 OK\r\nA: " + b"x" * 1_000_000, HANG],
        [REQUEST, b"HTTP/1.1 200 " + b"x" * 1_000_000, HANG],
        [REQUEST, b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 10_000 + b"\r\n"],
    ],
    ids=[
        "reset at once",
        "closed",
        "reset",
        "reset in the headers",
        "closed in the headers",
        "another protocol",
        "TLS",
        "HTML",
        "no status",
        "no header",
        "two lengths",
        "negative length",
        "length and chunks",
        "upgrade",
        "interim answers",
        "a long header",
        "an endless header",
        "an endless reason",
        "many headers",
    ],
)
async def test_what_is_no_http_answer_is_no_response(steps: list[Step]) -> None:
    """F33, F34, F36: the connection is closed, and nothing of it is believed."""
    async with running_chaos(steps) as chaos, calling(chaos.url) as client:
        async with asyncio.timeout(10):
            assert await broken(client) is C.NO_RESPONSE
            await chaos.connections[0].over.wait()


async def test_a_few_interim_answers_are_passed_over() -> None:
    """F34"""
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    async with running_chaos([REQUEST, interim + OK, HANG]) as chaos, calling(chaos.url) as client:
        response = await client.chat(BODY)
        assert (response.status, await response.body()) == (200, b"{}")
        assert "Link" not in response.headers


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    """T09, F34: it would carry our key elsewhere."""
    async with running_chaos([HANG]) as elsewhere:
        location = f"Location: {elsewhere.url}/api/v1/chat/completions".encode()
        redirect = b"HTTP/1.1 307 Temporary\r\nContent-Length: 0\r\n" + location + b"\r\n\r\n"
        async with (
            running_chaos([REQUEST, redirect, REQUEST, redirect, HANG]) as chaos,
            calling(chaos.url) as client,
        ):
            response = await client.chat(BODY)
            assert (response.status, await response.body()) == (307, b"")
            assert await client.get_json("models", timeout_s=5) == (307, None)
        assert elsewhere.connections == []


# GET


async def test_json_is_fetched_with_its_parameters() -> None:
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"data":[1]}'
    async with running_chaos([REQUEST, answer, HANG]) as chaos, calling(chaos.url) as client:
        found = await client.get_json("generation", {"id": "gen 1&x=\r\n"}, timeout_s=5)
        assert found == (200, {"data": [1]})
        line, headers, _ = request_of(chaos.connections[0])
    assert line == "GET /api/v1/generation?id=gen+1%26x%3D%0D%0A HTTP/1.1"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert "content-length" not in headers


@pytest.mark.parametrize("body", [b"<html>", b"", b"[" * 9000], ids=["HTML", "nothing", "depth"])
async def test_what_is_no_json_is_none(body: bytes) -> None:
    head = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with running_chaos([REQUEST, head + body, HANG]) as chaos, calling(chaos.url) as client:
        assert await client.get_json("models", timeout_s=5) == (404, None)


async def test_json_that_does_not_come_in_time_is_a_timeout() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    scripts: list[list[Step]] = [[REQUEST, HANG], [REQUEST, head, HANG]]
    for steps in scripts:
        async with running_chaos(steps) as chaos, calling(chaos.url) as client:
            with pytest.raises(UpstreamError, match=r"No answer within 0\.05 s") as caught:
                await client.get_json("models", timeout_s=0.05)
            assert caught.value.kind is C.CONNECT_TIMEOUT
            await asyncio.wait_for(chaos.connections[0].over.wait(), 10)


async def test_json_that_breaks_off_says_so() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    async with running_chaos([REQUEST, head, RST]) as chaos, calling(chaos.url) as client:
        with pytest.raises(UpstreamError) as caught:
            await client.get_json("models", timeout_s=5)
        assert caught.value.kind is C.RESET_MID
