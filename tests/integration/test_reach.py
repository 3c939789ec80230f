"""What a request can make the router do: call its one upstream and write its own files."""

import ast
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import llm_router
from llm_router.demo.upstream import DemoUpstream
from tests.integration.client import CHAT, calling, chat, chat_body
from tests.integration.conftest import UPSTREAM_KEY, Router, Start
from tests.integration.test_doors import INJECTIONS, asked

PACKAGE = Path(llm_router.__file__).parent
EVIL = "http://203.0.113.66"
PROCESSES = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn")


class Deeds:
    """What the interpreter was asked to do, while somebody watches."""

    def __init__(self) -> None:
        self.is_watching = False
        self.processes: list[str] = []
        self.addresses: set[Any] = set()
        self.written: set[str] = set()

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_watching:
            return
        if event in PROCESSES:
            self.processes.append(event)
        elif event == "socket.connect":
            self.addresses.add(arguments[1])
        elif event == "socket.getaddrinfo":
            self.addresses.add(arguments[0])
        elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
            self.written.add(str(arguments[0]))


DEEDS = Deeds()
sys.addaudithook(DEEDS.note)  # there is no taking it away again


@contextmanager
def watched() -> Iterator[Deeds]:
    DEEDS.__init__()  # type: ignore[misc]  # the hook knows this one object
    DEEDS.is_watching = True
    try:
        yield DEEDS
    finally:
        DEEDS.is_watching = False


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80


def test_the_watch_sees_what_it_looks_for(tmp_path: Path) -> None:
    import subprocess

    with watched() as deeds:
        subprocess.run([sys.executable, "-c", ""], check=True)
        (tmp_path / "x").write_text("x")
    assert deeds.processes
    assert str(tmp_path / "x") in deeds.written


async def test_no_request_starts_a_process_or_calls_anybody_else(
    router: Router, upstream: DemoUpstream, tmp_path: Path
) -> None:
    """T04 T07 T08: whatever stands in it, on admin routes as well."""
    allowed = {address(router.url), address(upstream.url), "127.0.0.1"}
    with watched() as deeds:
        for text in (*INJECTIONS, EVIL, f"{EVIL}/x.png", "file:///etc/passwd", "__import__('os')"):
            for method, path, options in asked(text):
                async with router.http.request(method, router.url + path, **options) as response:
                    assert response.status < 500
        await router.rows()
    assert deeds.processes == []
    assert deeds.addresses <= allowed
    assert all(Path(file).is_relative_to(tmp_path) for file in deeds.written), deeds.written


FIELDS: dict[str, Any] = {
    "api_base": EVIL,
    "base_url": EVIL,
    "api_key": "sk-evil",
    "custom_llm_provider": "openai",
    "extra_headers": {"Authorization": "Bearer sk-evil"},
    "headers": {"Authorization": "Bearer sk-evil"},
    "extra_body": {"base_url": EVIL},
    "proxy": EVIL,
    "webhook": EVIL,
    "litellm_params": {"api_base": EVIL},
}
HEADERS = {
    "X-Api-Base": EVIL,
    "X-OpenAI-Base-Url": EVIL,
    "X-Upstream": EVIL,
    "Api-Key": "sk-evil",
    "X-Api-Key": "sk-evil",
    "Authorization": "Bearer sk-evil",
    "Proxy-Authorization": "Basic evil",
    "Referer": EVIL,
    "Cookie": "key=evil",
}


async def test_no_client_names_the_upstream_or_the_key(
    router: Router, upstream: DemoUpstream
) -> None:
    """T07: unknown fields travel to the one upstream and mean nothing here."""
    image = [{"type": "image_url", "image_url": {"url": f"{EVIL}/x.png"}}]
    with watched() as deeds:
        body = {**chat_body(), **FIELDS, "model": "openai/gpt-4o-mini"}
        body["messages"] = [{"role": "user", "content": image}]
        async with router.http.post(router.url + CHAT, json=body, headers=HEADERS) as response:
            assert response.status == 200, await response.text()
    assert deeds.addresses <= {address(router.url), address(upstream.url), "127.0.0.1"}
    [call] = upstream.calls()
    assert call.headers["Authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert "evil" not in str(call.headers).lower().replace("203.0.113.66", "evil")
    assert call.json()["api_base"] == EVIL  # as any unknown field


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/static/../web/access.py",
        "/static/front.html",
        "/front.html",
        "/v1/models/..%2f..%2fconfig",
        "/health/../config",
        "//etc/passwd",
        "/.env",
        "/router.db",
        "/config.toml",
    ],
)
async def test_no_path_leads_to_a_file(router: Router, path: str) -> None:
    """T29"""
    with watched() as deeds:
        async with calling(router.url) as caller:
            caller.writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            reply = await caller.reply()
    assert reply.status in (400, 404)
    assert not deeds.written
    assert b"root:" not in reply.body
    assert b"import" not in reply.body


def test_no_folder_is_served() -> None:
    """T29"""
    for file in PACKAGE.rglob("*.py"):
        names = {
            node.attr
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute)
        }
        assert not names & {"add_static", "static", "FileResponse"}, file


BAD_PATTERNS = [
    "(a+)+$",
    "(a|aa)+$",
    "(.*a){25}",
    "[",
    "(?R)",
    r"\1",
    "a{1000000000}",
    "(猫|猫猫)+鳥$",
]


async def test_a_keyword_is_a_word_and_no_pattern(router: Router) -> None:
    """T31: no text of a configuration becomes a regular expression."""
    await router.send(
        "POST", "/config/category", {"name": "evil", "models": ["a/b"], "keywords": BAD_PATTERNS}
    )
    for text in ("a" * 50_000 + "!", "猫" * 50_000 + "!", "aaaaaaaa", "a" * 30 + "b"):
        body = {"model": "router", "messages": [{"role": "user", "content": text}]}
        decided = await router.send("POST", "/route/explain", body)
        assert decided["category"] != "evil", (text[:10], decided)


# One client's data in another's answer


async def test_many_streams_at_once_each_hold_their_own_words(start: Start) -> None:
    """T44: and their own key's name in the books."""
    clients = {f"client-{number}": f"sk-{number:04}" for number in range(10)}
    keys = {"admin_key": "admin-key", "client_keys": [f"{n}:{k}" for n, k in clients.items()]}
    async with start(server=keys) as router:

        async def ask(number: int) -> tuple[str, str]:
            name = f"client-{number % 10}"
            headers = {"Authorization": f"Bearer {clients[name]}"}
            text = f"marker-{number:04} python function"
            async with router.chat(text, headers=headers, stream=True) as response:
                said = (await response.read()).decode()
            others = [m for m in range(200) if f"marker-{m:04}" in said.replace('"', "")]
            assert others in ([number], []), others
            return response.headers["x-router-request-id"], name

        asked_by = dict(await asyncio.gather(*map(ask, range(200))))
        assert {r["id"]: r["client_key"] for r in await router.rows()} == asked_by


async def test_the_upstream_repeats_the_marker(router: Router) -> None:
    """Or the test above would look for what is never there."""
    assert b"marker-0007" in (await chat(router.url, "marker-0007", stream=True)).body
