"""TLS to the provider: only what can be trusted, and nothing in the clear instead."""

import asyncio
import shutil
import ssl
import subprocess
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from llm_router.classify.ollama import open_session
from llm_router.errors import SettingsError
from llm_router.routing.failures import FailureClass
from llm_router.settings import DeadlineSettings
from llm_router.upstream.origin import Origin, check_way
from tests.fakes.chaos import HANG, running_chaos
from tests.upstream.conftest import calling, failure

C = FailureClass
BODY = b"{}"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


CA = """
[ca]
default_ca = own
[own]
database = index
rand_serial = yes
new_certs_dir = .
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


def made(folder: Path, until: str = "21000101000000Z") -> Path:
    """Return a certificate for localhost that nobody has signed, with its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    (folder / "ca.cnf").write_text(CA)
    (folder / "index").touch()
    commands = (
        "req -new -nodes -subj /CN=localhost -newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
        " -addext subjectAltName=DNS:localhost -keyout key.pem -out request.pem",
        "ca -batch -config ca.cnf -selfsign -keyfile key.pem -in request.pem -out certificate.pem"
        f" -notext -startdate 20200101000000Z -enddate {until}",
    )
    for command in commands:
        subprocess.run([openssl, *command.split()], cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "certificate.pem").read_text())
    return both


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("tls"))


@asynccontextmanager
async def tls_server(
    certificate: Path, latest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Serve one answer over TLS; yields the port and what was received in the clear."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if latest is not ssl.TLSVersion.MAXIMUM_SUPPORTED:
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = latest
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


async def test_it_is_trusted_in_calls_to_ollama_too(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tls_server(certificate) as (port, _):
        url = f"https://localhost:{port}"
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await asked(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert await asked(url) == b"ok"


async def asked(url: str) -> bytes:
    async with open_session(url, DeadlineSettings()) as session, session.get(url) as response:
        return await response.read()


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file or directory"), ("x", "it holds no certificates in PEM")],
    ids=["missing", "none in it"],
)
def test_certificates_that_cannot_be_read_are_refused_at_once(
    content: str | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    for refuses in (Origin, check_way):
        with pytest.raises(SettingsError, match=f"SSL_CERT_FILE: .*ca.pem cannot be used: {why}"):
            refuses("https://openrouter.test/api/v1")


async def test_a_certificate_for_another_name_is_refused(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F06"""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with tls_server(certificate) as (port, received):
        error = await failure(f"https://127.0.0.1:{port}")
    assert error.kind is C.TRANSPORT
    assert received == []


async def test_a_certificate_that_ran_out_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F06"""
    expired = made(tmp_path, until="20200102000000Z")
    monkeypatch.setenv("SSL_CERT_FILE", str(expired))
    async with tls_server(expired) as (port, received):
        error = await failure(f"https://localhost:{port}")
    assert error.kind is C.TRANSPORT
    assert received == []


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
async def test_a_protocol_that_is_too_old_is_refused(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """F06: and not given up for plain text."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with tls_server(certificate, ssl.TLSVersion[version]) as (port, received):
        error = await failure(f"https://localhost:{port}")
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
