"""Getting a connection to the provider: names, addresses, TLS, and the environment's proxy."""

import asyncio
import base64
import errno
import ipaddress
import os
import re
import socket
import ssl
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import aiohappyeyeballs
from yarl import URL

from llm_router.errors import SettingsError, UpstreamError
from llm_router.routing.failures import FailureClass

P = TypeVar("P", bound=asyncio.Protocol)

_NEXT_ADDRESS_S = 0.25  # RFC 8305: how long one address may keep the next one waiting
_PROXY_ANSWER_LIMIT = 16 * 1024
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Origin:
    """Where `base_url` lives. Proxy settings and certificates are read once: both are slow.

    HTTPS_PROXY, HTTP_PROXY, NO_PROXY and SSL_CERT_FILE are honoured; TLS is always verified.
    Raises SettingsError for one of these that cannot be used.
    """

    def __init__(self, base_url: str) -> None:
        url = URL(base_url)
        self._host, self._port = url.host or "", url.port or 80
        self._tls = tls_context() if url.scheme == "https" else None
        self._proxy = _proxy_for(url)
        default = 443 if self._tls else 80
        name = f"[{self._host}]" if ":" in self._host else self._host
        self.authority = name if self._port == default else f"{name}:{self._port}"
        # A proxy that cannot see into TLS gets a tunnel; for plain HTTP it wants the whole URL.
        is_spoken_to = self._proxy is not None and self._tls is None
        self.target_prefix = f"http://{self.authority}" if is_spoken_to else ""
        self.proxy_headers = _credentials(self._proxy) if is_spoken_to else {}
        self._lookup: asyncio.Future[Any] | None = None

    async def connect(self, factory: Callable[[], P]) -> P:
        """Return the protocol of a new connection. Raises UpstreamError in words for people."""
        try:
            return await self._connect(factory)
        except socket.gaierror as exc:
            message = "The provider's name cannot be resolved."
            raise UpstreamError(FailureClass.TRANSPORT, message) from exc
        except ssl.SSLError as exc:
            message = "The provider's TLS certificate or protocol cannot be trusted."
            raise UpstreamError(FailureClass.TRANSPORT, message) from exc
        except OSError as exc:
            if exc.errno in _OUT_OF_RESOURCES:
                message = "This machine is out of sockets or memory."
                raise UpstreamError(FailureClass.LOCAL, message) from exc
            # The system's words: asyncio's own differ from loop to loop.
            reason = os.strerror(exc.errno) if exc.errno else type(exc).__name__
            message = f"The provider cannot be reached: {reason}."
            raise UpstreamError(FailureClass.TRANSPORT, message) from exc

    async def _connect(self, factory: Callable[[], P]) -> P:
        loop = asyncio.get_running_loop()
        # Connect to the first address that answers, trying the next ones beside it.
        sock = await aiohappyeyeballs.start_connection(
            await self._addresses(), happy_eyeballs_delay=_NEXT_ADDRESS_S, loop=loop
        )
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._proxy is not None and self._tls is not None:
                await self._open_tunnel(sock, self._proxy)
        except BaseException:
            sock.close()
            raise
        _, protocol = await loop.create_connection(
            factory, sock=sock, ssl=self._tls, server_hostname=self._host if self._tls else None
        )
        return protocol

    async def _addresses(self) -> Sequence[aiohappyeyeballs.AddrInfoType]:
        """Look the name up, once for all who ask meanwhile.

        A resolver that hangs holds a thread, whoever waits for it or has given up; the threads of
        a process are few, and others need them.
        """
        if self._lookup is None or self._lookup.done():
            loop, to = asyncio.get_running_loop(), self._proxy
            host, port = (self._host, self._port) if to is None else (to.host or "", to.port or 80)
            asking = loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self._lookup = asyncio.ensure_future(asking)
        found: Sequence[aiohappyeyeballs.AddrInfoType] = await asyncio.shield(self._lookup)
        return found

    async def _open_tunnel(self, sock: socket.socket, proxy: URL) -> None:
        loop = asyncio.get_running_loop()
        target = f"{self._host}:{self._port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        lines += [f"{name}: {value}" for name, value in _credentials(proxy).items()]
        await loop.sock_sendall(sock, "\r\n".join([*lines, "", ""]).encode("latin-1"))
        answer = b""
        while b"\r\n\r\n" not in answer:
            received = await loop.sock_recv(sock, 4096)
            answer += received
            if not received or len(answer) > _PROXY_ANSWER_LIMIT:
                raise UpstreamError(FailureClass.TRANSPORT, "The proxy did not answer.")
        if not re.match(rb"HTTP/1\.[01] 200\b", answer):
            message = "The proxy refused to connect to the provider."
            raise UpstreamError(FailureClass.TRANSPORT, message)


def check_way(base_url: str) -> None:
    """Raise the SettingsError that an origin there would, before anything has begun."""
    url = URL(base_url)
    if url.scheme == "https":
        _trust_named(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    _proxy_for(url)


def tls_context() -> ssl.SSLContext:
    """Read the certificates that calls to others trust, which takes 20 ms and more.

    SettingsError if SSL_CERT_FILE names none.
    """
    context = ssl.create_default_context()
    # The default context has read that file, and says nothing if it could not.
    _trust_named(context)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _trust_named(context: ssl.SSLContext) -> None:
    if file := os.environ.get("SSL_CERT_FILE"):
        try:
            context.load_verify_locations(file)
        except OSError as exc:
            is_read = isinstance(exc, ssl.SSLError)
            why = "it holds no certificates in PEM" if is_read else exc.strerror
            where = f"environment, SSL_CERT_FILE: {file}"
            raise SettingsError(f"{where} cannot be used: {why}.") from exc


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _credentials(proxy: URL | None) -> dict[str, str]:
    if proxy is None or not proxy.user:
        return {}
    secret = f"{proxy.user}:{proxy.password or ''}".encode()
    return {"Proxy-Authorization": "Basic " + base64.b64encode(secret).decode()}


def _proxy_for(url: URL) -> URL | None:
    if url.host is None or urllib.request.proxy_bypass(url.host):
        return None
    # No proxy can reach this machine for us; a demo begins behind any.
    if url.scheme == "http" and _is_here(url.host):
        return None
    given = urllib.request.getproxies().get(url.scheme)
    if not given:
        return None
    try:
        proxy = URL(given if "://" in given else f"http://{given}")
        if proxy.scheme == "http" and proxy.host:
            return proxy
    except ValueError:
        pass
    name = f"{url.scheme.upper()}_PROXY"
    raise SettingsError(f"environment, {name}: must be like http://user:password@proxy:3128.")
