"""Names and addresses of the provider: unknown, slow, several, changing, silent."""

import asyncio
import socket
from collections.abc import Callable

import pytest

from llm_router.errors import UpstreamError
from llm_router.routing.failures import FailureClass
from tests.fakes.black_hole import black_hole
from tests.fakes.chaos import HANG, REQUEST, Chaos, running_chaos
from tests.upstream.conftest import calling, closed_port, failure

C = FailureClass
BODY = b"{}"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Address = tuple[str, int]


def resolve(monkeypatch: pytest.MonkeyPatch, addresses: Callable[[], list[Address]]) -> None:
    """Answer every name with these addresses."""

    async def getaddrinfo(*args: object, **options: object) -> object:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each) for each in addresses()]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


def address_of(chaos: Chaos) -> Address:
    return "127.0.0.1", int(chaos.url.rpartition(":")[2])


async def test_a_connection_that_never_comes_about_is_cut() -> None:
    """F02: the queue of this listener is full, so nothing answers, as behind a firewall."""
    with black_hole() as (host, port):
        error = await failure(f"http://{host}:{port}", connect_s=0.05)
    assert error.kind is C.CONNECT_TIMEOUT
    assert str(error) == "No connection to the provider within 0.05 s."


async def test_a_name_that_cannot_be_resolved_is_the_transports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """F03"""

    async def getaddrinfo(*args: object, **options: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "secret.internal")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    error = await failure("http://no-such-name.invalid")
    assert error.kind is C.TRANSPORT
    assert str(error) == "The provider's name cannot be resolved."


async def test_a_name_that_takes_too_long_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """F03"""

    async def getaddrinfo(*args: object, **options: object) -> object:
        return await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    assert (await failure("http://slow.invalid", connect_s=0.05)).kind is C.CONNECT_TIMEOUT


async def test_a_resolver_that_hangs_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """F03: each question would hold a thread, and those who gave up would hold all of them."""
    asked, answer = [], asyncio.Event()

    async def getaddrinfo(*args: object, **options: object) -> object:
        asked.append(args)
        await answer.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with calling("http://slow.invalid", connect_s=0.05) as client:
        calls = (client.chat(BODY) for _ in range(20))
        failures = await asyncio.gather(*calls, return_exceptions=True)
        assert {getattr(f, "kind", f) for f in failures} == {C.CONNECT_TIMEOUT}
        assert len(asked) == 1
        answer.set()
        await asyncio.sleep(0)
        with pytest.raises(UpstreamError) as caught:
            await client.chat(BODY)
        assert caught.value.kind is C.TRANSPORT
        assert len(asked) == 2


@pytest.mark.parametrize("is_silent", [False, True], ids=["refusing", "silent"])
async def test_the_next_address_of_a_name_is_tried(
    monkeypatch: pytest.MonkeyPatch, is_silent: bool
) -> None:
    """F04: within 300 ms, and it is no failure."""
    with black_hole() as silent:
        async with running_chaos([REQUEST, OK, HANG]) as chaos:
            dead = silent if is_silent else ("127.0.0.1", closed_port())
            resolve(monkeypatch, lambda: [dead, address_of(chaos)])
            async with calling("http://two.invalid", connect_s=5) as client:
                assert (await client.chat(BODY)).status == 200


async def test_a_new_connection_goes_where_the_name_points_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """F05: nothing here remembers an address."""
    async with running_chaos([REQUEST, OK]) as old, running_chaos([REQUEST, OK, HANG]) as new:
        points_to = [old]
        resolve(monkeypatch, lambda: [address_of(points_to[0])])
        async with calling("http://moving.invalid") as client:
            assert await (await client.chat(BODY)).body() == b"ok"
            points_to[0] = new
            assert await (await client.chat(BODY, on_new_connection=True)).body() == b"ok"
        assert [len(chaos.connections) for chaos in (old, new)] == [1, 1]
