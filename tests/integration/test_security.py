"""Who may do what, one shape for every refusal, and secrets that stay where they belong."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from llm_router import keys
from llm_router.demo.upstream import DemoUpstream
from llm_router.web.guesses import FREE_GUESSES
from llm_router.web.routes import Scope
from tests.integration.client import CHAT, calling, chat_body, checked_error, post, request
from tests.integration.conftest import UPSTREAM_KEY, Router, Start, in_shared
from tests.oracles.secrets import leaks, written_under

ADMIN_KEY = "canary-admin-key"
LAPTOP_KEY, BARE_KEY = "canary-laptop-key", "canary-bare-key"
WRONG_KEY = "canary-mistyped-key"
PROMPT = "canary-prompt"
KEYS: dict[str, Any] = {
    "admin_key": ADMIN_KEY,
    "client_keys": [f"laptop:{LAPTOP_KEY}", BARE_KEY],
}
SECRETS = (UPSTREAM_KEY, ADMIN_KEY, LAPTOP_KEY, BARE_KEY, WRONG_KEY)


def bearer(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def some_path(path: str) -> str:
    """Return an address that a route's pattern matches."""
    for pattern, value in (
        ("{model:.+}", "z-ai/glm-5"),
        ("{id:.+}", "router"),
        ("{id}", "0"),
        ("{name}", "code"),
        ("{version}", "1"),
    ):
        path = path.replace(pattern, value)
    return path


def every_route(router: Router) -> list[tuple[str, str, Scope]]:
    scopes = router.app[keys.SCOPES]
    found = []
    for route in router.app.router.routes():
        assert route.resource is not None
        if route.method != "HEAD":
            found.append((route.method, some_path(route.resource.canonical), scopes[route]))
    return found


async def status_of(router: Router, method: str, path: str, key: str | None) -> int:
    async with router.http.request(method, router.url + path, headers=bearer(key)) as response:
        body = await response.read()
        if response.status >= 400:
            checked_error(json.loads(body), response.status)
            assert response.headers["x-router-request-id"]
        return response.status


async def test_every_route_lets_in_only_whom_it_should(start: Start) -> None:
    """T03: none, a wrong key, a client key, the admin key, on each route there is."""
    async with start(server=KEYS) as router:
        routes = every_route(router)
        assert {scope for *_, scope in routes} == set(Scope)
        for method, path, scope in routes:
            for key in (None, WRONG_KEY, "", LAPTOP_KEY, ADMIN_KEY):
                is_in = (
                    scope is Scope.PUBLIC
                    or key == ADMIN_KEY
                    or (scope is Scope.CLIENT and key == LAPTOP_KEY)
                )
                status = await status_of(router, method, path, key)
                assert (status not in (401, 429)) == is_in, (method, path, key, status)


async def test_without_an_admin_key_a_proxys_clients_are_not_admins(router: Router) -> None:
    """T03: they would all come from loopback."""
    admin = [(m, p) for m, p, scope in every_route(router) if scope is Scope.ADMIN]
    assert len(admin) > 10
    for header in ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Proto"):
        for method, path in admin:
            async with router.http.request(
                method, router.url + path, headers={header: "x"}
            ) as response:
                error = checked_error(await response.json(), 403)
                assert error["type"] == "forbidden"
        async with router.chat(headers={header: "x"}) as response:
            assert response.status == 200


@in_shared
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example:3456"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
    ids=lambda headers: "{} {}".format(*next(iter(headers.items()))),
)
async def test_a_web_page_gets_nothing(shared: Router, headers: dict[str, str]) -> None:
    """T05 T06: by another site's origin, or by a name rebound to us."""
    is_host = "Host" in headers
    for method, path, scope in every_route(shared):
        if scope is not Scope.PUBLIC or is_host:
            async with shared.http.request(method, shared.url + path, headers=headers) as response:
                checked_error(await response.json(), 403)
                assert "Access-Control-Allow-Origin" not in response.headers
    assert not await shared.rows()


# One shape


@in_shared
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health/", 200),
        ("GET", "/v1/models/", 200),
        ("GET", "/requests/nothing/", 404),
        ("POST", "/v1/chat/completions/", 400),
        ("DELETE", "/v1/chat/completions/", 405),
    ],
)
async def test_a_slash_too_many_is_no_other_path(
    shared: Router, method: str, path: str, status: int
) -> None:
    for spelling in (path, path.rstrip("/")):
        async with shared.http.request(method, shared.url + spelling) as response:
            assert response.status == status


@in_shared
@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("POST", "/v1/embeddings", 404, "not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("BREW", "/v1/chat/completions", 400, "invalid_request"),
        ("PUT", "/metrics", 405, "method_not_allowed"),
        ("GET", "/metrics?group_by=nothing", 400, "invalid_request"),
        ("GET", "/requests?limit=many", 400, "invalid_request"),
        ("GET", "/requests/nothing", 404, "not_found"),
        ("GET", "/config/history?limit=0", 400, "invalid_request"),
        ("POST", "/config/rollback/one", 404, "not_found"),
        ("GET", "/v1/models/nothing", 404, "model_not_found"),
        ("GET", "/%00", 404, "not_found"),
        ("GET", "/" + "x" * 9000, 400, "invalid_request"),
    ],
)
async def test_every_refusal_has_the_one_shape(
    shared: Router, method: str, path: str, status: int, kind: str
) -> None:
    """F60"""
    line = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    async with calling(shared.url) as caller:
        caller.writer.write(line.encode())
        reply = await caller.reply()
    assert (reply.status, reply.error["type"]) == (status, kind)
    assert reply.headers["x-router-request-id"]
    if status == 405:
        assert reply.headers["allow"]
    if kind == "not_found" and "/" not in path[1:]:
        assert "/v1/chat/completions" in reply.error["message"]


async def test_bad_json_has_the_one_shape_on_every_route_that_reads_some(router: Router) -> None:
    """F56"""
    readers = [
        "/v1/chat/completions",
        "/chat/completions",
        "/route/explain",
        "/config/category",
        "/config/model-mapping",
    ]
    for path in readers:
        async with calling(router.url) as caller:
            caller.writer.write(request(b'{"model":', path=path))
            reply = await caller.reply()
        assert (reply.status, reply.error["type"]) == (400, "invalid_request"), path
        assert "JSON" in reply.error["message"]


async def test_nobody_is_invited_to_send_a_body_that_will_be_refused(start: Start) -> None:
    """T02: a key is looked at first."""
    async with start(server=KEYS) as router:
        for path in (CHAT, "/config/category"):
            async with calling(router.url) as caller:
                head, blank, _ = request(
                    chat_body(), path=path, headers={"Expect": "100-continue"}
                ).partition(b"\r\n\r\n")
                caller.writer.write(head + blank)
                assert (await caller.reply()).status == 401


async def test_a_fault_of_our_own_is_told_without_its_inside(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T40: the log has the rest, under the id that the client was given."""

    def broken(*_: object) -> None:
        raise RuntimeError("canary inside")

    monkeypatch.setattr("llm_router.web.chat.parse_body", broken)
    reply = await post(router.url, chat_body())
    assert (reply.status, reply.error["type"]) == (500, "internal")
    assert reply.headers["x-router-request-id"] in reply.error["message"]
    assert b"canary" not in reply.body
    [row] = await router.rows()
    assert (row["outcome"], row["http_status"], row["error_class"]) == ("failed", 500, "internal")


# Keys


async def test_a_keys_name_is_booked_and_never_the_key(start: Start) -> None:
    named = "key-" + hashlib.sha256(BARE_KEY.encode()).hexdigest()[:8]
    async with start(server=KEYS) as router:
        for key in (LAPTOP_KEY, BARE_KEY, ADMIN_KEY):
            assert (await post(router.url, chat_body(), headers=bearer(key))).status == 200
        assert (await post(router.url, chat_body(), headers=bearer(WRONG_KEY))).status == 401
        rows = await router.rows()
        assert [row["client_key"] for row in rows] == ["laptop", named, "admin"]
        router.http.headers.update(bearer(ADMIN_KEY))
        groups = (await router.get("/metrics?group_by=key"))["groups"]
        assert {group["key"]: group["requests"] for group in groups} == {
            "laptop": 1,
            named: 1,
            "admin": 1,
        }


async def test_each_request_on_a_connection_is_its_own_keys(start: Start) -> None:
    """T12: proxies send several clients' requests over one."""
    asked = [LAPTOP_KEY, LAPTOP_KEY, ADMIN_KEY, WRONG_KEY, WRONG_KEY, None, LAPTOP_KEY, LAPTOP_KEY]
    async with start(server=KEYS) as router, calling(router.url) as caller:
        statuses = []
        for key in asked:
            caller.writer.write(request(chat_body(), headers=bearer(key)))
            statuses.append((await caller.reply()).status)
        assert statuses == [200, 200, 200, 401, 401, 401, 200, 200]
        names = [row["client_key"] for row in await router.rows()]
        assert names == ["laptop", "laptop", "admin", "laptop", "laptop"]


async def test_a_wrong_key_that_comes_again_and_again_counts_each_time(start: Start) -> None:
    """T14"""
    async with start(server=KEYS) as router, calling(router.url) as caller:
        caller.writer.write(request(chat_body(), headers=bearer(WRONG_KEY)) * (FREE_GUESSES + 1))
        statuses = [(await caller.reply()).status for _ in range(FREE_GUESSES + 1)]
    assert statuses == [401] * FREE_GUESSES + [429]


async def test_without_client_keys_nobodys_key_is_looked_at(router: Router) -> None:
    for key in (None, "anything", "sk-or-v1-somebodys"):
        assert (await post(router.url, chat_body(), headers=bearer(key))).status == 200
    assert {row["client_key"] for row in await router.rows()} == {None}


# Canaries


async def everything_said(router: Router, upstream: DemoUpstream) -> tuple[bytes, bytes]:
    """Make the router talk; return what chat answers hold, and what everything else does."""
    chats, others = bytearray(), bytearray()

    async def say(
        method: str, path: str, into: bytearray, key: str | None = ADMIN_KEY, **options: Any
    ) -> None:
        async with router.http.request(
            method, router.url + path, headers=bearer(key), **options
        ) as response:
            into.extend(str(response.raw_headers).encode())
            try:
                async for block in response.content.iter_any():
                    into.extend(block)
            except aiohttp.ClientPayloadError:
                into.extend(b"(broken off)")

    body = chat_body(PROMPT + " python function")
    for key in (LAPTOP_KEY, BARE_KEY, ADMIN_KEY, WRONG_KEY, None):
        await say("POST", CHAT, chats, key, json=body)
    await say("POST", CHAT, chats, json={**body, "stream": True})
    faults: list[dict[str, Any]] = [
        {"status": 400, "message": f"Bad key {UPSTREAM_KEY}"},
        {"status": 500, "message": PROMPT},
        {"status": 403, "message": "moderation", "error_type": PROMPT},
        {"drop": 2},
        {"status": 502, "via": "event", "after": 2, "code": PROMPT},
        {"insert": f"data: {PROMPT}\n\n".encode()},
        {"html": True},
        {"status": 401},
    ]
    for how in faults:
        upstream.clear()
        upstream.fail(**how)
        await say("POST", CHAT, chats, json={**body, "stream": True})
    for broken in (f'{{"model":"{PROMPT}"', f'{{"messages":"{PROMPT}"}}', f'{{"{PROMPT}":1}}'):
        await say("POST", CHAT, chats, data=broken)
        await say("POST", "/route/explain", others, data=broken)
    await say("POST", "/route/explain", others, json=body)
    await router.rows()
    for method, path, _ in every_route(router):
        for key in (None, WRONG_KEY, LAPTOP_KEY, ADMIN_KEY):
            await say(method, path, others, key)
    await say("GET", "/metrics?format=prometheus", others)
    await say("GET", "/metrics?group_by=category,model,key", others)
    return bytes(chats), bytes(others)


@pytest.mark.parametrize("mode", ["keywords", "api"])
async def test_secrets_and_prompts_are_said_nowhere(
    start: Start,
    upstream: DemoUpstream,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    mode: str,
) -> None:
    """T10 T11: not in an answer, a log line, a row or a metric, even at level debug."""
    caplog.set_level(logging.DEBUG)
    async with start(server=KEYS, classifier={"mode": mode}, log={"level": "debug"}) as router:
        chats, others = await everything_said(router, upstream)
        rows = str(await router.rows()) + str(await router.rows("attempts"))
        while_open = written_under(tmp_path)
    files = written_under(tmp_path)
    assert b"SQLite format 3" in files["router.db"]
    assert PROMPT.encode() in chats  # so it was there to be found
    places = {
        "other answers": others,
        "log": caplog.text.encode(),
        "rows": rows.encode(),
        **{f"{name}, while open": text for name, text in while_open.items()},
        **files,
    }
    assert all(places[name] for name in ("other answers", "log", "rows"))
    assert not leaks(SECRETS, {"chat answers": chats, **places})
    assert not leaks([PROMPT], places)
