"""Every route and every way in: who is let past the door, whatever else the request holds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from llm_router.keys import DATABASE
from llm_router.web.access import Access
from llm_router.web.routes import Scope
from tests.integration.client import calling
from tests.integration.conftest import Router, Start, in_shared
from tests.integration.test_security import ADMIN_KEY, KEYS, LAPTOP_KEY, every_route

ALL = frozenset(Scope)
NOBODY: frozenset[Scope] = frozenset()
PUBLIC = frozenset({Scope.PUBLIC})
NOT_ADMIN = frozenset({Scope.PUBLIC, Scope.CLIENT})


@dataclass(frozen=True)
class Door:
    """`lets_in` are the scopes that a request like this reaches."""

    name: str
    lets_in: frozenset[Scope]
    headers: dict[str, str] = field(default_factory=dict)
    host: str = "Host: localhost"
    target: str = "{path}"

    def request(self, method: str, path: str) -> bytes:
        lines = [f"{method} {self.target.format(path=path)} HTTP/1.1", self.host]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += ["Content-Length: 0", "Connection: close", "", ""]
        return "\r\n".join(line for line in lines[:-2] if line).encode() + b"\r\n\r\n"


# No version, no cookie, no hint to other origins, nothing that upstream or a library adds.
SAID = {
    *("allow", "cache-control", "connection", "content-length", "content-type", "date", "server"),
    *("content-security-policy", "referrer-policy", "x-content-type-options"),
    *("retry-after", "www-authenticate", "x-should-retry"),
}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


# The same whichever keys there are.
HOSTS = [
    Door("another's name", NOBODY, host="Host: evil.example"),
    Door("our name in another's", NOBODY, host="Host: localhost.evil.example"),
    Door("no host", NOBODY, host=""),
    Door("two hosts", NOBODY, host="Host: localhost\r\nHost: evil.example"),
    Door("one host twice", NOBODY, host="Host: localhost\r\nHost: localhost"),
    Door("a whole URL", NOBODY, target="http://localhost{path}"),
    Door("another's URL", NOBODY, target="http://evil.example{path}"),
    Door("a URL without scheme", NOBODY, target="//localhost{path}"),
    Door("a fragment before the path", NOBODY, target="http:{path}"),
    Door("lengths of two kinds", NOBODY, headers={"Transfer-Encoding": "chunked"}),
]
WITHOUT_KEYS = [
    Door("nothing", ALL),
    Door("any key", ALL, bearer("anything")),
    Door("its own page", ALL, {"Origin": "http://localhost:1"}),
    *(
        Door(f"a proxy: {name}", NOT_ADMIN, {name: "203.0.113.9"})
        for name in ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
    ),
    Door("a proxy that lists us", NOT_ADMIN, {"X-Forwarded-For": "127.0.0.1"}),
    Door("hop by hop", NOT_ADMIN, {"Connection": "x-forwarded-for", "X-Forwarded-For": "1.2.3.4"}),
    Door("another site", PUBLIC, {"Origin": "https://evil.example"}),
    Door("a sandboxed page", PUBLIC, {"Origin": "null"}),
    Door("a link", PUBLIC, {"Sec-Fetch-Site": "cross-site"}),
]
WITH_KEYS = [
    Door("nothing", PUBLIC),
    Door("a client key", NOT_ADMIN, bearer(LAPTOP_KEY)),
    Door("the admin key", ALL, bearer(ADMIN_KEY)),
    Door("the admin key by a proxy", ALL, {**bearer(ADMIN_KEY), "Via": "1.1 x"}),
    Door("the admin key from another site", NOT_ADMIN, {**bearer(ADMIN_KEY), "Origin": "http://x"}),
    Door("a key that nobody has", PUBLIC, bearer("guess")),
    Door("another scheme", PUBLIC, {"Authorization": f"Basic {ADMIN_KEY}"}),
    Door("no scheme", PUBLIC, {"Authorization": ADMIN_KEY}),
    Door("a cookie", PUBLIC, {"Cookie": f"authorization=Bearer {ADMIN_KEY}; key={ADMIN_KEY}"}),
    Door("a header of others", PUBLIC, {"X-Api-Key": ADMIN_KEY, "Api-Key": ADMIN_KEY}),
    Door("a query", PUBLIC, target=f"{{path}}?key={ADMIN_KEY}&api_key={ADMIN_KEY}"),
    Door("a proxy's credentials", PUBLIC, {"Proxy-Authorization": f"Bearer {ADMIN_KEY}"}),
    Door("another method's name", PUBLIC, {"X-HTTP-Method-Override": "OPTIONS"}),
    Door("a rewritten path", PUBLIC, {"X-Original-URL": "/health", "X-Rewrite-URL": "/health"}),
]


@pytest.fixture
def let_in(monkeypatch: pytest.MonkeyPatch) -> list[Scope]:
    """Return the scopes into which somebody was let, as it grows."""
    seen: list[Scope] = []
    check: Callable[..., str | None] = Access.check

    def watched(self: Access, request: web.Request, scope: Scope) -> str | None:
        name = check(self, request, scope)
        seen.append(scope)
        return name

    monkeypatch.setattr(Access, "check", watched)
    return seen


async def reached(router: Router, door: Door, let_in: list[Scope]) -> None:
    for method, path, scope in every_route(router):
        let_in.clear()
        async with calling(router.url) as caller:
            caller.writer.write(door.request(method, path))
            reply = await caller.reply()
        assert {name for name in reply.headers if not name.startswith("x-router-")} <= SAID
        expected = [scope] if scope in door.lets_in else []
        assert let_in == expected, (door.name, method, path, reply.status, reply.body)
        if not expected:
            assert reply.status in (400, 401, 403, 404, 429), (door.name, method, path)
            assert "access-control-allow-origin" not in reply.headers


async def test_without_keys_this_machines_programs_are_let_in(
    router: Router, let_in: list[Scope]
) -> None:
    """T03 T05 T06 T15 T17 T28 T37: and neither other sites' pages nor those behind a proxy."""
    for door in (*WITHOUT_KEYS, *HOSTS):
        await reached(router, door, let_in)


async def test_with_keys_only_their_owners_are_let_in(start: Start, let_in: list[Scope]) -> None:
    """T02 T03 T05 T06 T39: by the one header that takes them."""
    async with start(server=KEYS) as router:
        for door in (*WITH_KEYS, *HOSTS):
            door = Door(door.name, door.lets_in, door.headers, door.host, door.target)
            await reached(router, door, let_in)
        for door in HOSTS:
            with_key = Door(door.name, NOBODY, bearer(ADMIN_KEY), door.host, door.target)
            if "Transfer-Encoding" not in door.headers:
                await reached(router, with_key, let_in)


# What comes in by the letter


INJECTIONS = (
    "' OR 1=1--",
    "'; DROP TABLE requests;--",
    '" OR ""="',
    "1; ATTACH DATABASE 'x' AS y",
    "%27%20OR%201=1",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "../../etc/passwd",
    "\\' OR 1=1 #",
)


def asked(text: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield requests with the text in every place that a client fills."""
    message = {"role": "user", "content": text}
    body = {"model": "router", "messages": [message], "user": text, "session_id": text}
    for fields in (
        body,
        {**body, "model": text},
        {**body, "model": f"a/{text}"},
        {**body, "model": f"router/{text}"},
        {**body, "tools": [{"type": "function", "function": {"name": text}}]},
        {**body, "messages": [{"role": text, "content": text}]},
    ):
        for path in ("/v1/chat/completions", "/route/explain"):
            yield "POST", path, {"json": fields}
    for header in ("x-session-id", "x-router-category", "User-Agent", "Accept", "Authorization"):
        value = f"Bearer {text}" if header == "Authorization" else text
        yield "POST", "/v1/chat/completions", {"json": body, "headers": {header: value}}
        yield "GET", "/metrics", {"headers": {header: value}}
    for path in ("/requests", "/metrics", "/config/history", "/circuit-breaker"):
        for name in ("category", "model", "outcome", "key", "session", "since", "until", "limit"):
            yield "GET", path, {"params": {name: text}}
        for name in ("cursor", "group_by", "bucket", "format"):
            yield "GET", path, {"params": {name: text}}
    for method, path in (
        ("GET", "/requests/{}"),
        ("GET", "/v1/models/{}"),
        ("POST", "/circuit-breaker/reset/{}"),
        ("DELETE", "/config/category/{}"),
        ("POST", "/config/rollback/{}"),
        ("GET", "/{}"),
    ):
        yield method, path.format(text), {}
    category = {"name": text, "models": [text], "keywords": [text], "description": text}
    yield "POST", "/config/category", {"json": category}
    yield "POST", "/config/category", {"json": {**category, "name": "poetry", "models": ["a/b"]}}
    yield "POST", "/config/model-mapping", {"json": {"category": text, "models": [text]}}
    yield "PUT", "/config", {"json": {"version": text, "categories": {text: category}}}


@pytest.mark.parametrize("keys", [{}, KEYS], ids=["without keys", "with keys"])
async def test_what_clients_write_is_never_taken_for_sql(
    start: Start, keys: dict[str, Any]
) -> None:
    """T01: in no header, path, query or field, nor on the way to an error."""
    async with start(server=keys) as router:
        before = await schema(router)
        count = 0
        for text in INJECTIONS:
            for method, path, options in asked(text):
                headers = {**(bearer(ADMIN_KEY) if keys else {}), **options.pop("headers", {})}
                async with router.http.request(
                    method, router.url + path, headers=headers, **options
                ) as response:
                    assert response.status < 500, (method, path, options, await response.text())
                    count += path == "/v1/chat/completions" and response.status not in (401, 429)
        rows = await router.rows()
        assert len(rows) == count
        assert {row["session"] for row in rows if row["session"]} == set(INJECTIONS)
        assert await schema(router) == before


async def schema(router: Router) -> list[tuple[Any, ...]]:
    rows = await router.app[DATABASE].read("SELECT type, name, sql FROM sqlite_schema")
    return [tuple(row) for row in rows]


# What two readers could take for different requests

CHAT_LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
LENGTH = b"Content-Length: 2\r\n"
CONFUSING = {
    "a folded header": b"X: b\r\n c\r\n" + LENGTH,
    "a folded header with a tab": b"X: b\r\n\tc\r\n" + LENGTH,
    "a folded host": b" evil.example\r\n" + LENGTH,
    "a line feed in a value": b"X: b\nTransfer-Encoding: chunked\r\n" + LENGTH,
    "a carriage return in a value": b"X: b\rTransfer-Encoding: chunked\r\n" + LENGTH,
    "NUL": b"X: \x00\r\n" + LENGTH,
    "a control character": b"X: \x1b[31m\r\n" + LENGTH,
    "a space before the colon": b"Transfer-Encoding : chunked\r\n" + LENGTH,
    "a vertical tab": b"Transfer-Encoding:\x0bchunked\r\n" + LENGTH,
    "chunks and a length": b"Transfer-Encoding: chunked\r\n" + LENGTH,
    "chunks, differently": b"Transfer-Encoding: xchunked\r\n" + LENGTH,
    "chunks twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n" + LENGTH,
    "a length with a sign": b"Content-Length: +2\r\n",
    "a negative length": b"Content-Length: -2\r\n",
    "a length in hex": b"Content-Length: 0x2\r\n",
    "two lengths in one": b"Content-Length: 2, 2\r\n",
    "a length with a space": b"Content-Length: 2 2\r\n",
    "a length in Arabic": "Content-Length: ٢\r\n".encode(),
    "a length with an underscore": b"Content-Length: 1_0\r\n",
    "a length without end": b"Content-Length: 99999999999999999999999\r\n",
    "two lengths": LENGTH + LENGTH,
    "two lengths that differ": LENGTH + b"Content-Length: 40\r\n",
    "a second host": b"Host: evil.example\r\n" + LENGTH,
    "no colon": b"garbage\r\n" + LENGTH,
    "no name": b": x\r\n" + LENGTH,
    "a name of letters that are none": "Ünï: x\r\n".encode() + LENGTH,
}


@in_shared
@pytest.mark.parametrize("lines", CONFUSING.values(), ids=CONFUSING)
async def test_a_chat_request_is_framed_in_one_way_or_refused(shared: Router, lines: bytes) -> None:
    """T15 F62: and what follows it is nobody's request."""
    smuggled = b"POST /circuit-breaker/reset/all HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with calling(shared.url) as caller:
        caller.writer.write(CHAT_LINE + b"Host: localhost\r\n" + lines + b"\r\n{}" + smuggled)
        reply = await caller.reply()
        assert (reply.status, reply.error["type"]) == (400, "invalid_request")
        assert await caller.reader.read() == b""


@in_shared
@pytest.mark.parametrize(
    "line", [CHAT_LINE.replace(b"\r\n", b"\n"), b"\r\n" * 9000], ids=["LF", "blank"]
)
async def test_no_line_is_ended_in_another_way(shared: Router, line: bytes) -> None:
    """F62"""
    async with calling(shared.url) as caller:
        caller.writer.write(line + b"Host: localhost\r\n" + LENGTH + b"\r\n{}")
        caller.writer.write_eof()
        answer = await caller.reader.read()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
