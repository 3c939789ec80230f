"""Getting through to the provider: refused, silent, behind a proxy, behind TLS."""

import base64
import errno

import pytest

from llm_router.errors import SettingsError
from llm_router.routing.failures import FailureClass
from llm_router.upstream.origin import Origin
from tests.fakes.chaos import HANG, REQUEST, running_chaos
from tests.upstream.conftest import calling, closed_port, failure

C = FailureClass
BODY = b"{}"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


# Connecting


async def test_a_refused_connection_is_the_transports() -> None:
    """F01"""
    error = await failure(f"http://127.0.0.1:{closed_port()}")
    assert error.kind is C.TRANSPORT
    assert str(error) == "The provider cannot be reached: Connection refused."


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_our_own_lack_of_sockets_is_not_the_providers_fault(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F75"""

    async def start_connection(*args: object, **options: object) -> object:
        raise OSError(number, "no more")

    monkeypatch.setattr("aiohappyeyeballs.start_connection", start_connection)
    error = await failure("http://127.0.0.1:9")
    assert (error.kind, str(error)) == (C.LOCAL, "This machine is out of sockets or memory.")


# Names


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://openrouter.ai/api/v1", "openrouter.ai"),
        ("https://openrouter.ai:8443/api/v1", "openrouter.ai:8443"),
        ("http://localhost/v1", "localhost"),
        ("http://localhost:11434", "localhost:11434"),
        ("http://[::1]:8080/v1", "[::1]:8080"),
    ],
)
def test_the_host_header_names_a_port_only_where_it_is_unusual(url: str, authority: str) -> None:
    origin = Origin(url)
    assert (origin.authority, origin.target_prefix) == (authority, "")


# Proxies


@pytest.mark.parametrize(
    "proxy", ["http://127.0.0.1:99999", "https://proxy:1", "socks5://me:hunter2@proxy:1", "http://"]
)
def test_a_proxy_that_cannot_be_used_is_refused_at_once(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(SettingsError, match="environment, HTTPS_PROXY: must be like") as caught:
        Origin("https://openrouter.test/api/v1")
    assert "hunter2" not in str(caught.value)


async def test_a_proxy_may_be_named_without_its_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_chaos([REQUEST, OK, HANG]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removeprefix("http://"))
        async with calling("http://openrouter.test") as client:
            await client.chat(BODY)


async def test_a_proxy_of_the_environment_gets_the_whole_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_chaos([REQUEST, OK, HANG]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//user:p%40ss@"))
        async with calling("http://upstream.invalid:8080") as client:
            assert (await client.chat(BODY)).status == 200
        received = bytes(proxy.connections[0].received)
    assert received.startswith(
        b"POST http://upstream.invalid:8080/api/v1/chat/completions HTTP/1.1"
    )
    assert b"\r\nHost: upstream.invalid:8080\r\n" in received
    secret = base64.b64encode(b"user:p@ss")
    assert b"\r\nProxy-Authorization: Basic " + secret + b"\r\n" in received


def test_no_proxy_is_taken_for_what_is_named_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does the provider see the proxy's password then."""
    monkeypatch.setenv("HTTP_PROXY", "http://user:pass@proxy.test:1")
    near = Origin("http://upstream.test")
    assert (near.target_prefix, len(near.proxy_headers)) == ("http://upstream.test", 1)
    monkeypatch.setenv("NO_PROXY", "elsewhere.test,upstream.test")
    near = Origin("http://upstream.test")
    assert (near.target_prefix, near.proxy_headers) == ("", {})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_this_machine_is_not_looked_for_behind_a_proxy(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo's upstream is here, whatever the environment says."""
    monkeypatch.setenv("HTTP_PROXY", "http://user:pass@proxy.test:1")
    here = Origin(f"http://{host}:1234/api/v1")
    assert (here.target_prefix, here.proxy_headers) == ("", {})


REFUSED = "The proxy refused to connect to the provider."
SILENT = "The proxy did not answer."


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", REFUSED),
        (b"HTTP/1.1 2000 No\r\n\r\n", REFUSED),
        (b"garbage 200 \r\n\r\n", REFUSED),
        (b"\r\n\r\n", REFUSED),
        (b"HTTP/1.1 200", SILENT),
        (b"x" * 100_000, SILENT),
    ],
    ids=["refused", "no status", "garbage", "blank", "cut off", "endless"],
)
async def test_a_proxy_that_opens_no_tunnel_is_the_transports_fault(
    answer: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_chaos([REQUEST, answer]) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//user:p%40ss@"))
        error = await failure("https://upstream.invalid")
        assert (error.kind, str(error)) == (C.TRANSPORT, words)
        head = bytes(proxy.connections[0].received).decode()
    secret = base64.b64encode(b"user:p@ss").decode()
    assert head == (
        "CONNECT upstream.invalid:443 HTTP/1.1\r\nHost: upstream.invalid:443\r\n"
        f"Proxy-Authorization: Basic {secret}\r\n\r\n"
    )
