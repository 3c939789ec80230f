"""Who may do what, by key, peer, Host and Origin. Closed by default."""

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit

from llm_router.clock import Clock
from llm_router.errors import Forbidden, HttpError, InvalidRequest, TooManyRequests, Unauthorized
from llm_router.settings import ADMIN_NAME, ServerSettings
from llm_router.web.guesses import Guesses
from llm_router.web.routes import Scope

_PROXY_HEADERS = ("forwarded", "via", "x-real-ip")
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Asking(Protocol):
    """A request, as far as this is concerned; `headers` are found by their lower-case names."""

    @property
    def headers(self) -> Mapping[str, str]: ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the connection's transport says."""


@dataclass(frozen=True, slots=True)
class _Owner:
    name: str
    is_admin: bool = False


class Access:
    """Decides for every request; keys are kept as SHA-256 digests only."""

    def __init__(self, server: ServerSettings, clock: Clock) -> None:
        self._owners = {_digest(key): _Owner(n) for n, key in server.named_client_keys().items()}
        self._has_clients, self._has_admin = bool(self._owners), server.admin_key is not None
        if server.admin_key is not None:
            admin = _Owner(ADMIN_NAME, is_admin=True)
            self._owners[_digest(server.admin_key.get_secret_value())] = admin
        self._guesses = Guesses(clock)
        self._hosts = frozenset({server.host.lower(), *map(_bare, server.allowed_hosts)})

    def check(self, request: Asking, scope: Scope) -> str | None:
        """Return the name of the client's key, if keys are asked for and it has one.

        Raises the HttpError that keeps the request out.
        """
        self._check_host(request)
        if scope is Scope.ADMIN:
            self._check_origin(request)
            self._check_admin(request)
        elif scope is Scope.CLIENT:
            if not self._has_clients:
                self._check_origin(request)
                return None
            owner = self._owner(request)
            if owner is None:
                raise Unauthorized(
                    "This router wants one of its client keys as `Authorization: Bearer <key>`."
                )
            return owner.name
        return None

    def is_admin(self, request: Asking) -> bool:
        """True for the admin key, or, without one configured, for a direct loopback peer."""
        try:
            self._check_admin(request)
        except HttpError:
            return False
        return True

    def _check_admin(self, request: Asking) -> None:
        if self._has_admin:
            owner = self._owner(request)
            if owner is not None and owner.is_admin:
                return
        elif _is_direct_loopback(request):
            return
        else:
            raise Forbidden(
                "Without an admin key this route answers on loopback only, and never through a "
                "proxy. Set ROUTER_ADMIN_KEY to use it from elsewhere."
            )
        raise Unauthorized("This route wants the admin key as `Authorization: Bearer <key>`.")

    def _owner(self, request: Asking) -> "_Owner | None":
        """Return whose key was presented; TooManyRequests where too many have been wrong.

        Every key is compared, so that the time taken says nothing about any.
        """
        presented = _presented(request)
        if presented is None:
            return None
        found = None
        for digest, owner in self._owners.items():
            if hmac.compare_digest(digest, presented):
                found = owner
        peer = request.get_extra_info("peername")
        wait_s = self._guesses.wait_s(str(peer[0]) if peer else "", found.name if found else None)
        if wait_s:
            raise TooManyRequests(
                "Too many wrong keys came from this address.", retry_after_s=wait_s, is_final=True
            )
        return found

    def _check_host(self, request: Asking) -> None:
        """A page that rebinds its name to our address still sends its own name as Host."""
        if not self._is_ours(_bare(request.headers.get("host", "")), request):
            raise Forbidden(
                "This Host is not one of the router's names. Add it to [server] allowed_hosts "
                "(or LLM_ROUTER_SERVER__ALLOWED_HOSTS) if it should be."
            )

    def _check_origin(self, request: Asking) -> None:
        """Keep out what a foreign web page sends; desktop apps have schemes of their own."""
        origin = request.headers.get("origin")
        if origin is None:
            is_foreign = request.headers.get("sec-fetch-site") == "cross-site"
        else:
            scheme, host = _parts(origin)
            is_foreign = scheme in ("http", "https", "") and not self._is_ours(host, request)
        if is_foreign:
            raise Forbidden("Requests from other web sites are refused.")

    def _is_ours(self, host: str, request: Asking) -> bool:
        if host in self._hosts or host in _LOOPBACK_NAMES:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        # An address cannot be rebound: the one that the connection came in on is ours.
        local = request.get_extra_info("sockname")
        return address.is_loopback or bool(local and str(address) == local[0])


def check_target(hosts: Sequence[str], target: str) -> None:
    """Refuse a request whose address two readers could take for different ones.

    Raises InvalidRequest.
    """
    if len(hosts) != 1 or not target.startswith(("/", "*")):
        raise InvalidRequest("A request needs exactly one Host header and a plain path.")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


def _presented(request: Asking) -> bytes | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return _digest(key.strip()) if scheme.lower() == "bearer" and key.strip() else None


@lru_cache(maxsize=256)
def _bare(host: str) -> str:
    """Return a Host header's name without port and brackets, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _parts(origin: str) -> tuple[str, str]:
    """Return an Origin's scheme and host, both empty where there is nothing to be read."""
    if not origin.isprintable():  # urlsplit would drop tabs without a word
        return "", ""
    try:
        parts = urlsplit(origin)
        return parts.scheme, parts.hostname or ""
    except ValueError:
        return "", ""


def _is_direct_loopback(request: Asking) -> bool:
    names = map(str.lower, request.headers)
    if any(name in _PROXY_HEADERS or name.startswith("x-forwarded-") for name in names):
        return False
    peer = request.get_extra_info("peername")
    try:
        return bool(peer) and ipaddress.ip_address(peer[0]).is_loopback
    except ValueError:
        return False
