"""One serving process, from the bind to the last answer."""

import asyncio
import gc
import itertools
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from llm_router import keys, listening, serving
from llm_router.app import create_app
from llm_router.demo.upstream import DemoUpstream
from llm_router.errors import RouterError, StorageError
from llm_router.routing.defaults import default_config
from llm_router.settings import Settings
from tests.fakes.waiting import until
from tests.integration.conftest import Start, settings_for, start, upstream

__all__ = ["start", "upstream"]


@pytest.fixture
def settings(upstream: DemoUpstream, tmp_path: Path) -> Settings:
    return settings_for(upstream.url, upstream.ollama_url, tmp_path)


@pytest.fixture
def _unrested() -> Iterator[None]:
    """The interpreter is as it was behind the test."""
    threshold, interval_s = gc.get_threshold(), sys.getswitchinterval()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()
    sys.setswitchinterval(interval_s)


# Binding


async def test_it_says_where_it_serves(settings: Settings) -> None:
    async with serving.running(settings, default_config()) as (_, url):
        assert url.startswith("http://127.0.0.1:")
        async with aiohttp.request("GET", url + "/health/live") as response:
            assert response.status == 200


async def test_a_port_in_use_is_said_in_one_sentence_and_nothing_is_left(
    settings: Settings,
) -> None:
    """F79"""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = settings.server.model_copy(update={"port": port})
        with pytest.raises(RouterError) as caught:
            async with serving.running(
                settings.model_copy(update={"server": server}), default_config()
            ):
                raise AssertionError
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use. "
        "Stop what uses it, or choose another with --port or ROUTER_PORT."
    )
    async with serving.running(settings, default_config()):
        pass


async def test_a_port_that_is_taken_meanwhile_is_said_as_well(settings: Settings) -> None:
    """F79"""
    [ours] = sockets = listening.bind(settings.server)
    with socket.create_server(ours.getsockname()):
        app = create_app(settings, default_config())
        with pytest.raises(RouterError, match="Address already in use"):
            async with serving.taking_requests(app, settings, sockets):
                raise AssertionError


async def test_an_address_that_is_not_ours_is_said_as_well(settings: Settings) -> None:
    """F79"""
    server = settings.server.model_copy(update={"host": "203.0.113.9"})
    with pytest.raises(RouterError, match=r"cannot listen on 203\.0\.113\.9:0: "):
        async with serving.running(
            settings.model_copy(update={"server": server}), default_config()
        ):
            raise AssertionError


async def test_an_ipv6_address_stands_in_brackets(settings: Settings) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = settings.server.model_copy(update={"host": "::1"})
    running = serving.running(settings.model_copy(update={"server": server}), default_config())
    async with running as (_, url):
        assert url.startswith("http://[::1]:")
        async with aiohttp.request("GET", url + "/") as response:
            assert f"{url}/v1" in await response.text()


async def test_a_database_that_somebody_writes_is_not_shared(settings: Settings) -> None:
    async with serving.running(settings, default_config()):
        with pytest.raises(StorageError):
            async with serving.running(settings, default_config()):
                raise AssertionError


# Draining


async def test_a_drain_lets_requests_finish_and_takes_no_more(
    start: Start, upstream: DemoUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F66"""
    monkeypatch.setattr(serving, "SETTLE_S", 0.01)
    release = upstream.hold("z-ai/glm-5", at=1)
    async with start() as router:
        async with router.chat("hi", model="router/code", stream=True) as response:
            assert await response.content.readany()
            drained = asyncio.ensure_future(serving.drain(router.runner, 30))
            await until(lambda: not router.runner.sites)
            assert router.app[keys.LIFECYCLE].is_draining
            assert not drained.done()
            release.set()
            assert (await response.read()).endswith(b"data: [DONE]\n\n")
        await drained
        with pytest.raises(aiohttp.ClientConnectorError):
            await new_request(router.url)
        [row] = await router.rows()
    assert row["outcome"] == "completed"


async def new_request(url: str) -> None:
    async with aiohttp.request("GET", url + "/health/live"):
        pass


async def test_what_takes_too_long_is_cut_and_told(
    start: Start, upstream: DemoUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F67"""
    monkeypatch.setattr(serving, "SETTLE_S", 0.01)
    upstream.hold("z-ai/glm-5", at=1)
    async with start() as router:
        async with router.chat("hi", model="router/code", stream=True) as response:
            body = await response.content.readany()
            await serving.drain(router.runner, 0.05)
            body += await until_broken(response)
        assert b"server_draining" in body
        [row] = await router.rows()
    assert (row["outcome"], row["error_class"]) == ("truncated", "draining")


async def until_broken(response: aiohttp.ClientResponse) -> bytes:
    """Return what comes before a connection breaks."""
    came = b""
    try:
        while block := await response.content.readany():
            came += block
    except aiohttp.ClientError:
        return came
    raise AssertionError("the answer was whole")


# Signals


async def served(settings: Settings, *signals_at: str) -> tuple[str, bytes]:
    """Serve, open a stream that never ends, send the signals; return the URL and what came."""
    came = bytearray()

    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def stream(url: str) -> None:
        body = {"model": "router/code", "stream": True, "messages": [{"role": "user"}]}
        async with (
            aiohttp.ClientSession() as http,
            http.post(url + "/v1/chat/completions", json=body) as response,
        ):
            came.extend(await response.content.readany())
            came.extend(await until_broken(response))

    server = asyncio.ensure_future(serving.serve(settings, default_config(), ready.set_result))
    url = await ready
    client = asyncio.ensure_future(stream(url))
    await until(lambda: came)
    for name in signals_at:
        os.kill(os.getpid(), getattr(signal, name))
        await asyncio.sleep(0.02)
    async with asyncio.timeout(20):
        await server
        await client
    return url, bytes(came)


@pytest.mark.usefixtures("_unrested")
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to be handled")
async def test_a_second_signal_does_not_wait_for_the_first(
    settings: Settings, upstream: DemoUpstream
) -> None:
    """F68: rows are kept, and clients told, all the same."""
    upstream.hold("z-ai/glm-5", at=1)
    url, came = await served(settings, "SIGTERM", "SIGINT")
    assert b"server_draining" in came
    with pytest.raises(aiohttp.ClientConnectorError):
        await new_request(url)


@pytest.mark.usefixtures("_unrested")
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to be handled")
async def test_one_signal_waits_for_as_long_as_the_settings_say(
    settings: Settings, upstream: DemoUpstream
) -> None:
    """F67"""
    upstream.hold("z-ai/glm-5", at=1)
    server = settings.server.model_copy(update={"drain_s": 0.05})
    _, came = await served(settings.model_copy(update={"server": server}), "SIGTERM")
    assert b"server_draining" in came


@pytest.mark.usefixtures("_unrested")
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGHUP")
@pytest.mark.parametrize(
    ("has_terminal", "signals_at"),
    [(True, ["SIGHUP", "SIGTERM"]), (False, ["SIGHUP", "SIGTERM", "SIGTERM"])],
    ids=["its terminal closes", "a daemon goes on until it is told to stop"],
)
async def test_a_hangup_ends_what_a_terminal_began_and_nothing_else(
    settings: Settings,
    upstream: DemoUpstream,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    has_terminal: bool,
    signals_at: list[str],
) -> None:
    """Its default is to kill, which lost what was in flight."""
    monkeypatch.setattr("llm_router.serving.os.isatty", lambda _: has_terminal)
    upstream.hold("z-ai/glm-5", at=1)
    _, came = await served(settings, *signals_at)
    assert b"server_draining" in came
    assert ("this one goes on" in caplog.text) is not has_terminal


@pytest.mark.usefixtures("_unrested")
def test_requests_go_before_the_thread_that_writes_rows() -> None:
    interval_s = sys.getswitchinterval()
    serving.share_the_interpreter()
    assert sys.getswitchinterval() < interval_s


@pytest.mark.parametrize("granted", [0, 1, 3])
async def test_without_threads_the_start_is_refused_in_words(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, granted: int
) -> None:
    """F76: whichever thread is the one that the system does not give."""
    start, started = threading.Thread.start, itertools.count()

    def refuse(thread: threading.Thread) -> None:
        if next(started) >= granted:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RouterError, match="no thread"):
        async with serving.running(settings, default_config()):
            raise AssertionError
