"""Every scope with every key, peer, Host and Origin, on a real connection."""

import hmac
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from llm_router.errors import HttpError
from llm_router.settings import ServerSettings
from llm_router.web.access import Access, check_target
from llm_router.web.guesses import EVERY_S, FREE_GUESSES
from llm_router.web.routes import Scope
from tests.fakes.clock import Clock
from tests.fakes.server import Server, serving

ADMIN = "the-admin-key"
LAPTOP = "sk-laptop"
PHONE = "sk-phone"
NO_KEYS = ServerSettings()
ONLY_ADMIN = ServerSettings(admin_key=SecretStr(ADMIN))
ONLY_CLIENTS = ServerSettings(client_keys=(SecretStr(f"laptop:{LAPTOP}"),))
ALL_KEYS = ServerSettings(
    admin_key=SecretStr(ADMIN), client_keys=(SecretStr(f"laptop:{LAPTOP}"), SecretStr(PHONE))
)
PHONE_NAME = next(n for n, k in ALL_KEYS.named_client_keys().items() if k == PHONE)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


class Gate:
    """Asks `Access` about whatever arrives, in the scope that the path names."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.access = Access(NO_KEYS, self.clock)
        self.settings = NO_KEYS
        self.is_admin: bool | None = None
        self.server: Server | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        scope = Scope(request.path.strip("/").split("/")[-1] or "public")
        self.is_admin = self.access.is_admin(request)
        try:
            check_target(request.headers.getall("Host", ()), request.raw_path)
            name = self.access.check(request, scope)
        except HttpError as exc:
            return web.Response(text=exc.type, status=exc.status)
        return web.Response(text=str(name))

    async def ask(
        self,
        settings: ServerSettings,
        scope: Scope,
        headers: Mapping[str, str] | None = None,
        *,
        head: str | None = None,
    ) -> tuple[int, str]:
        """Return status and body; `head` replaces the request line and the Host header."""
        assert self.server is not None
        if settings is not self.settings:
            self.settings, self.access = settings, Access(settings, self.clock)
        lines = [head or f"GET /{scope.value} HTTP/1.1\r\nHost: localhost:{self.server.port}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        reader, writer = await self.server.connect()
        writer.write(("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode())
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        return int(answer.split()[1]), answer.partition("\r\n\r\n")[2]


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    gate = Gate()
    async with serving(gate.handle) as gate.server:
        yield gate


# Keys

OK_NOBODY = (200, "None")
NO_KEY = (401, "unauthorized")
NOT_HERE = (403, "forbidden")
FORWARDED = {"X-Forwarded-For": "203.0.113.9"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, {"none": 200, "admin": 401, "clients": 200, "all": 401}),
        (bearer(LAPTOP), {"none": 200, "admin": 401, "clients": 200, "all": 401}),
        (bearer(ADMIN), {"none": 200, "admin": 200, "clients": 200, "all": 200}),
        (bearer("wrong"), {"none": 200, "admin": 401, "clients": 200, "all": 401}),
        (FORWARDED, {"none": 403, "admin": 401, "clients": 403, "all": 401}),
        ({**FORWARDED, **bearer(ADMIN)}, {"none": 403, "admin": 200, "clients": 403, "all": 200}),
    ],
    ids=["no key", "client key", "admin key", "wrong key", "by a proxy", "by a proxy with the key"],
)
async def test_admin_routes_take_the_admin_key_or_else_a_direct_loopback_peer(
    gate: Gate, headers: dict[str, str], expected: dict[str, int]
) -> None:
    """T03"""
    settings = {"none": NO_KEYS, "admin": ONLY_ADMIN, "clients": ONLY_CLIENTS, "all": ALL_KEYS}
    for name, server in settings.items():
        status, _ = await gate.ask(server, Scope.ADMIN, headers)
        assert status == expected[name], name
        assert gate.is_admin == (status == 200), name


@pytest.mark.parametrize(
    ("headers", "without", "with_keys"),
    [
        ({}, OK_NOBODY, NO_KEY),
        (bearer(LAPTOP), OK_NOBODY, (200, "laptop")),
        (bearer(PHONE), OK_NOBODY, (200, PHONE_NAME)),
        (bearer(ADMIN), OK_NOBODY, (200, "admin")),
        (bearer("wrong"), OK_NOBODY, NO_KEY),
        (bearer(f"laptop:{LAPTOP}"), OK_NOBODY, NO_KEY),
        (bearer(LAPTOP[:-1]), OK_NOBODY, NO_KEY),
        (FORWARDED, OK_NOBODY, NO_KEY),
        ({**FORWARDED, **bearer(LAPTOP)}, OK_NOBODY, (200, "laptop")),
    ],
    ids=[
        "no key",
        "client key",
        "key without a name",
        "admin key",
        "wrong key",
        "with its name",
        "a beginning",
        "by a proxy",
        "by a proxy with a key",
    ],
)
async def test_chat_takes_a_client_key_or_the_admin_key_where_keys_are_asked_for(
    gate: Gate,
    headers: dict[str, str],
    without: tuple[int, str],
    with_keys: tuple[int, str],
) -> None:
    """T02, T03"""
    assert await gate.ask(NO_KEYS, Scope.CLIENT, headers) == without
    assert await gate.ask(ONLY_ADMIN, Scope.CLIENT, headers) == without
    assert await gate.ask(ALL_KEYS, Scope.CLIENT, headers) == with_keys


async def test_the_admin_key_is_none_of_the_clients_where_there_is_none(gate: Gate) -> None:
    assert await gate.ask(ONLY_CLIENTS, Scope.CLIENT, bearer(ADMIN)) == NO_KEY


@pytest.mark.parametrize("headers", [{}, bearer("wrong"), FORWARDED], ids=str)
async def test_public_routes_are_for_everybody(gate: Gate, headers: dict[str, str]) -> None:
    assert await gate.ask(ALL_KEYS, Scope.PUBLIC, headers) == OK_NOBODY


@pytest.mark.parametrize(
    "value",
    [
        f"bearer {LAPTOP}",
        f"BEARER   {LAPTOP}  ",
    ],
)
async def test_the_scheme_is_read_as_http_says(gate: Gate, value: str) -> None:
    assert await gate.ask(ALL_KEYS, Scope.CLIENT, {"Authorization": value}) == (200, "laptop")


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", LAPTOP, f"Basic {LAPTOP}", f"Token {LAPTOP}", "Bearer \udcff"],
    ids=["empty", "no key", "blank key", "no scheme", "Basic", "Token", "bytes"],
)
async def test_anything_else_in_authorization_is_no_key(gate: Gate, value: str) -> None:
    """T12, T13: nor does it break anything."""
    head = f"GET /client HTTP/1.1\r\nHost: localhost\r\nAuthorization: {value}"
    raw = head.encode(errors="surrogateescape").decode("latin-1")
    assert await gate.ask(ALL_KEYS, Scope.CLIENT, head=raw) == NO_KEY
    assert await gate.ask(ALL_KEYS, Scope.ADMIN, head=raw.replace("client", "admin")) == NO_KEY


async def test_every_key_is_compared_and_in_constant_time(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T12: the time taken says nothing about which key it was, or how much of it was right."""
    compared: list[tuple[bytes, bytes]] = []
    equal = hmac.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return equal(a, b)

    monkeypatch.setattr("llm_router.web.access.hmac.compare_digest", compare)
    for key in (LAPTOP, PHONE, ADMIN, "x"):
        compared.clear()
        await gate.ask(ALL_KEYS, Scope.CLIENT, bearer(key))
        assert len(compared) == 2 * 3  # the handler of this test has asked for the admin first
        assert all(len(a) == len(b) == 32 for a, b in compared)


def test_keys_are_kept_as_digests_only() -> None:
    """T10"""
    assert not {LAPTOP, PHONE, ADMIN} & set(every_text(vars(Access(ALL_KEYS, Clock()))))


def every_text(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.items() for text in every_text(item)]
    if isinstance(value, list | tuple | set | frozenset):
        return [text for item in value for text in every_text(item)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize(
    "header",
    ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Server", "x-forwarded-user", "X-Real-IP"],
)
async def test_whatever_came_by_a_proxy_is_not_from_this_machine(gate: Gate, header: str) -> None:
    """T37: a proxy on this machine has everybody behind it."""
    assert await gate.ask(NO_KEYS, Scope.ADMIN, {header: "anything"}) == NOT_HERE
    assert await gate.ask(NO_KEYS, Scope.ADMIN) == OK_NOBODY


# Guessing


async def test_wrong_keys_from_one_address_are_no_longer_looked_at(gate: Gate) -> None:
    """T14: nor is a right one that nobody had presented from there, which would tell it."""
    assert await gate.ask(ALL_KEYS, Scope.CLIENT, bearer(PHONE)) == (200, PHONE_NAME)
    for guess in range(FREE_GUESSES // 2):  # each is looked at twice in this test
        assert await gate.ask(ALL_KEYS, Scope.CLIENT, bearer(f"guess-{guess}")) == NO_KEY
    refused = (429, "too_many_requests")
    for scope in (Scope.CLIENT, Scope.ADMIN):
        assert await gate.ask(ALL_KEYS, scope, bearer("one-more")) == refused
        assert await gate.ask(ALL_KEYS, scope, bearer(ADMIN)) == refused
        assert gate.is_admin is False
    assert await gate.ask(ALL_KEYS, Scope.CLIENT, bearer(PHONE)) == (200, PHONE_NAME)
    assert await gate.ask(ALL_KEYS, Scope.CLIENT) == NO_KEY
    assert (await gate.ask(ALL_KEYS, Scope.PUBLIC, bearer("one-more")))[0] == 200
    gate.clock.pass_s(EVERY_S)
    assert await gate.ask(ALL_KEYS, Scope.ADMIN, bearer(ADMIN)) == (200, "None")


async def test_a_client_who_forgets_its_key_does_not_guess(gate: Gate) -> None:
    """T14"""
    for _ in range(2 * FREE_GUESSES):
        assert await gate.ask(ALL_KEYS, Scope.CLIENT) == NO_KEY
    assert await gate.ask(ALL_KEYS, Scope.CLIENT, bearer(PHONE)) == (200, PHONE_NAME)


# Hosts

PUBLIC = ServerSettings(
    host="192.0.2.7",
    allowed_hosts=("router.example", "Other.Example:8443"),
    admin_key=SecretStr(ADMIN),
    client_keys=(SecretStr(LAPTOP),),
)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:3456", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1:9", 200),
        ("127.8.8.8", 200),
        ("[::1]:3456", 200),
        ("[::1]", 200),
        ("192.0.2.7:80", 200),
        ("router.example", 200),
        ("ROUTER.example:1", 200),
        ("other.example", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("router.example.evil.example", 403),
        ("evil.example:localhost", 403),
        ("192.0.2.8", 403),
        ("0.0.0.0", 403),
        ("[::ffff:192.0.2.8]", 403),
        ("", 403),
        ("@localhost", 403),
    ],
)
async def test_the_host_must_be_one_of_ours(gate: Gate, host: str, status: int) -> None:
    """T06: a page that rebinds its name to this address still sends its own name."""
    for scope in Scope:
        head = f"GET /{scope.value} HTTP/1.1\r\nHost: {host}"
        answer = await gate.ask(PUBLIC, scope, bearer(ADMIN), head=head)
        assert answer[0] == status, scope


async def test_the_address_that_a_connection_came_in_on_is_ours(gate: Gate) -> None:
    """Behind `host = "0.0.0.0"` a request names the address it was sent to."""
    everywhere = ServerSettings(host="0.0.0.0", admin_key=SecretStr(ADMIN))
    head = "GET /public HTTP/1.1\r\nHost: 127.0.0.1"
    assert (await gate.ask(everywhere, Scope.PUBLIC, head=head))[0] == 200
    assert (await gate.ask(everywhere, Scope.PUBLIC, head=head.replace("0.1", "9.9")))[0] == 200
    assert (await gate.ask(everywhere, Scope.PUBLIC, head=head.replace("127", "10")))[0] == 403


@pytest.mark.parametrize(
    "head",
    [
        "GET /public HTTP/1.1\r\nHost: localhost\r\nHost: localhost",
        "GET /public HTTP/1.1\r\nHost: localhost\r\nHost: evil.example",
        "GET /public HTTP/1.0",
        "GET http://localhost/public HTTP/1.1\r\nHost: localhost",
        "GET http://evil.example/public HTTP/1.1\r\nHost: localhost",
    ],
    ids=["two equal", "two", "none", "a whole URL", "another's URL"],
)
async def test_there_is_one_host_and_a_plain_path(gate: Gate, head: str) -> None:
    """T06, F62"""
    assert (await gate.ask(NO_KEYS, Scope.PUBLIC, head=head))[0] == 400


# Origins

FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "http://evil.example:3456"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://0.0.0.0:3456"},
    {"Origin": "http://[bad"},
    {"Origin": "http://local\thost"},
    {"Origin": "http://localhost@evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
]
OURS: list[dict[str, str]] = [
    {},
    {"Origin": "http://localhost:3456"},
    {"Origin": "https://127.0.0.1"},
    {"Origin": "http://[::1]:3456"},
    {"Origin": "HTTP://LOCALHOST:3456"},
    {"Origin": "app://obsidian.md"},
    {"Origin": "vscode-webview://1a2b3c"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://localhost:3456", "Sec-Fetch-Site": "cross-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_page_of_another_site_is_kept_out(gate: Gate, headers: dict[str, str]) -> None:
    """T05: of admin routes always, of chat where no key would stop it."""
    assert await gate.ask(NO_KEYS, Scope.ADMIN, headers) == NOT_HERE
    assert await gate.ask(ALL_KEYS, Scope.ADMIN, {**headers, **bearer(ADMIN)}) == NOT_HERE
    assert await gate.ask(NO_KEYS, Scope.CLIENT, headers) == NOT_HERE
    assert await gate.ask(ALL_KEYS, Scope.CLIENT, {**headers, **bearer(LAPTOP)}) == (200, "laptop")
    assert await gate.ask(NO_KEYS, Scope.PUBLIC, headers) == OK_NOBODY


@pytest.mark.parametrize("headers", OURS, ids=str)
async def test_our_own_pages_and_applications_are_let_in(
    gate: Gate, headers: dict[str, str]
) -> None:
    """T05"""
    assert await gate.ask(NO_KEYS, Scope.ADMIN, headers) == OK_NOBODY
    assert await gate.ask(NO_KEYS, Scope.CLIENT, headers) == OK_NOBODY


async def test_an_allowed_host_is_an_origin_of_ours(gate: Gate) -> None:
    head = "GET /admin HTTP/1.1\r\nHost: router.example\r\nOrigin: https://router.example"
    assert (await gate.ask(PUBLIC, Scope.ADMIN, bearer(ADMIN), head=head))[0] == 200


def test_a_connection_without_an_address_is_nobodys() -> None:
    """As on a unix socket, where no peer has one."""

    class Request:
        headers: Mapping[str, str] = {}

        def get_extra_info(self, name: str) -> Any:
            return {"peername": self.peer}.get(name)

        def __init__(self, peer: object) -> None:
            self.peer = peer

    access = Access(NO_KEYS, Clock())
    for peer in (None, "", ("not an address", 1), ("203.0.113.9", 1)):
        assert not access.is_admin(Request(peer))  # type: ignore[arg-type]
    assert access.is_admin(Request(("::1", 1)))  # type: ignore[arg-type]
