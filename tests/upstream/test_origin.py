"""Getting through to the provider: refused, silent, behind a proxy, behind TLS."""

import asyncio
import base64
import errno
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from llm_router.errors import UpstreamError
from llm_router.routing.failures import FailureClass
from llm_router.upstream.origin import Origin
from tests.fakes.chaos import HANG, REQUEST, running_chaos
from tests.upstream.conftest import calling

C = FailureClass
BODY = b"{}"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def failure(url: str, connect_s: float = 5) -> UpstreamError:
    async with calling(url, connect_s) as client:
        with pytest.raises(UpstreamError) as caught:
            await client.chat(BODY)
    return caught.value


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


# Connecting


async def test_a_refused_connection_is_the_transports() -> None:
    """F01"""
    error = await failure(f"http://127.0.0.1:{closed_port()}")
    assert error.kind is C.TRANSPORT
    assert str(error) == "The provider cannot be reached: Connection refused."


async def test_a_connection_that_never_comes_about_is_cut() -> None:
    """F02: the queue of this listener is full, so nothing answers, as behind a firewall."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        port = listener.getsockname()[1]
        error = await failure(f"http://127.0.0.1:{port}", connect_s=0.05)
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


async def test_the_next_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """F04"""
    async with running_chaos([REQUEST, OK, HANG]) as chaos:
        live = ("127.0.0.1", int(chaos.url.rpartition(":")[2]))

        async def getaddrinfo(*args: object, **options: object) -> object:
            dead = ("127.0.0.1", closed_port())
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (dead, live)
            ]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        async with calling("http://two.invalid") as client:
            assert (await client.chat(BODY)).status == 200


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


async def test_the_provider_never_sees_the_proxys_password(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_chaos([REQUEST, OK, HANG]) as chaos:
        monkeypatch.setenv("HTTP_PROXY", "http://user:pass@127.0.0.1:1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        async with calling(chaos.url) as client:
            assert (await client.chat(BODY)).status == 200
        assert b"proxy-authorization" not in bytes(chaos.connections[0].received).lower()


async def test_no_proxy_is_taken_for_what_is_named_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_chaos([REQUEST, OK, HANG]) as chaos:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
        async with calling(chaos.url) as client:
            assert (await client.chat(BODY)).status == 200


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


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that nobody has signed, with its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-nodes", "-days", "1", "-subj", "/CN=localhost"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", path, "-out", path),
        ],
        check=True,
        capture_output=True,
    )
    if "BEGIN CERTIFICATE" not in path.read_text() or "PRIVATE KEY" not in path.read_text():
        pytest.skip("this openssl does not write both into one file")
    return path


@asynccontextmanager
async def tls_server(certificate: Path) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Serve one answer over TLS; yields the port and what was received in the clear."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    received: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], received
    finally:
        server.close()


async def test_a_certificate_that_nobody_signed_is_refused_and_nothing_is_sent(
    certificate: Path,
) -> None:
    """F06, T42: and nothing goes out in the clear instead."""
    async with tls_server(certificate) as (port, received):
        error = await failure(f"https://localhost:{port}")
    assert error.kind is C.TRANSPORT
    assert str(error) == "The provider's TLS certificate or protocol cannot be trusted."
    assert received == []


async def test_what_speaks_no_tls_is_refused() -> None:
    """F06"""
    async with running_chaos([b"HTTP/1.1 400 Bad Request\r\n\r\n", HANG]) as chaos:
        error = await failure(chaos.url.replace("http://", "https://"))
        assert b"Bearer" not in chaos.connections[0].received
    assert error.kind is C.TRANSPORT


async def test_a_certificate_of_the_operator_is_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with tls_server(certificate) as (port, received):
        async with calling(f"https://localhost:{port}") as client:
            response = await client.chat(BODY)
            assert (response.status, await response.body()) == (200, b"ok")
        assert received[0].startswith(b"POST /api/v1/chat/completions HTTP/1.1\r\n")


async def test_a_certificate_for_another_name_is_refused(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F06"""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with tls_server(certificate) as (port, received):
        error = await failure(f"https://127.0.0.1:{port}")
    assert error.kind is C.TRANSPORT
    assert received == []


async def test_tls_goes_through_a_tunnel(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    asked: list[bytes] = []
    async with tls_server(certificate) as (port, received), tunnel_to(port, asked) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy}")
        async with calling(f"https://localhost:{port}") as client:
            response = await client.chat(BODY)
            assert (response.status, await response.body()) == (200, b"ok")
    assert asked == [
        f"CONNECT localhost:{port} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode()
    ]
    assert b"Bearer" in received[0]


@asynccontextmanager
async def tunnel_to(port: int, asked: list[bytes]) -> AsyncIterator[int]:
    """Serve a proxy that leads every tunnel to one port; yields its own."""
    over = asyncio.Event()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pipe(reader, back), pipe(there, writer))
        over.set()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
        await asyncio.wait_for(over.wait(), 10)
    finally:
        server.close()


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
