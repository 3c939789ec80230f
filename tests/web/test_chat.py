"""The chat route: one row whatever happens to the request."""

import asyncio
import json
from typing import Any

import pytest

from llm_router import keys
from llm_router.classify.base import Decision
from llm_router.demo.upstream import DemoUpstream
from llm_router.web import chat
from llm_router.web.routes import Scope
from tests.fakes.waiting import until
from tests.integration.conftest import Router, Start

PATH = "/v1/chat/completions"


def test_it_is_served_with_and_without_v1_for_clients() -> None:
    """OpenClaw's documented address has no /v1."""
    assert [(r.method, r.path, r.scope) for r in chat.ROUTES] == [
        ("POST", "/v1/chat/completions", Scope.CLIENT),
        ("POST", "/chat/completions", Scope.CLIENT),
    ]


async def row(router: Router) -> dict[str, Any]:
    [one] = await router.until_settled()
    return one


@pytest.mark.parametrize(
    ("body", "status", "error_class"),
    [
        (b"{", 400, "invalid_request"),
        (b'{"model":"no-such","messages":[1]}', 404, "model_not_found"),
        (b'{"messages":[]}', 400, "invalid_request"),
    ],
    ids=["no JSON", "no model", "no message"],
)
async def test_a_request_that_calls_nobody_has_a_row_too(
    router: Router, body: bytes, status: int, error_class: str
) -> None:
    async with router.http.post(router.url + PATH, data=body) as response:
        assert response.status == status
    found = await row(router)
    assert found["id"] == response.headers["x-router-request-id"]
    assert (found["outcome"], found["http_status"], found["error_class"]) == (
        "failed",
        status,
        error_class,
    )
    assert (found["attempts"], found["cost_nanousd"], found["cost_source"]) == (0, 0, "computed")


async def test_a_request_that_failed_is_no_longer_in_flight(router: Router) -> None:
    async with router.http.post(router.url + PATH, data=b"{") as response:
        assert response.status == 400
    await row(router)
    assert len(router.app[keys.IN_FLIGHT]) == 0


async def test_a_fault_of_our_own_has_a_row_and_a_traceback(
    router: Router, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*args: object, **options: object) -> Decision:
        raise KeyError("oh")

    monkeypatch.setattr(router.app[keys.CLASSIFIER], "decide", broken)
    async with router.chat() as response:
        assert response.status == 500
    found = await row(router)
    assert (found["outcome"], found["http_status"], found["error_class"]) == (
        "failed",
        500,
        "internal",
    )
    assert "KeyError" in caplog.text


async def test_the_session_of_header_or_body_stands_in_the_row(router: Router) -> None:
    async with router.chat(headers={"x-session-id": "s-header"}):
        pass
    async with router.chat(session_id="s-body", headers={"x-session-id": "s-header"}):
        pass
    rows = await router.until_settled(2)
    assert [one["session"] for one in rows] == ["s-header", "s-body"]


async def test_the_clients_key_stands_in_the_row_by_its_name(start: Start) -> None:
    server = {"admin_key": "a" * 16, "client_keys": ["laptop:" + "b" * 16]}
    async with start(server=server) as router:
        async with router.chat() as response:
            assert response.status == 401
        async with router.chat(headers={"Authorization": "Bearer " + "b" * 16}) as response:
            assert response.status == 200
        found = await row(router)
    assert found["client_key"] == "laptop"


# A router that goes


class Held:
    """A classifier that decides when it is let."""

    def __init__(self) -> None:
        self.was_asked = asyncio.Event()

    async def decide(self, *args: object) -> Decision:
        self.was_asked.set()
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_request_that_is_cut_before_its_call_is_told_so(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F67: nobody left, so it is no abandoned request."""
    held = Held()
    monkeypatch.setattr(router.app[keys.CLASSIFIER], "decide", held.decide)
    asked = asyncio.ensure_future(answer_to(router))
    await held.was_asked.wait()
    router.app[keys.IN_FLIGHT].cut_all()
    status, error = await asked
    assert (status, error["type"], error["message"]) == (
        503,
        "unavailable",
        "The router is shutting down.",
    )
    found = await row(router)
    assert (found["outcome"], found["http_status"], found["error_class"]) == (
        "failed",
        503,
        "unavailable",
    )


async def answer_to(router: Router) -> tuple[int, dict[str, Any]]:
    async with router.chat() as response:
        error: dict[str, Any] = (await response.json())["error"]
        return response.status, error


async def test_a_client_that_leaves_while_it_is_decided_is_abandoned(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F47"""
    held = Held()
    monkeypatch.setattr(router.app[keys.CLASSIFIER], "decide", held.decide)
    asked = asyncio.ensure_future(answer_to(router))
    await held.was_asked.wait()
    asked.cancel()
    found = await row(router)
    assert (found["outcome"], found["http_status"], found["error_class"]) == (
        "abandoned",
        499,
        "client_gone",
    )
    await until(lambda: len(router.app[keys.IN_FLIGHT]) == 0)


async def test_a_client_that_leaves_with_its_body_half_sent_is_abandoned(router: Router) -> None:
    """F47, F53"""
    host, port = router.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99\r\n\r\n{{".encode())
    await until(lambda: len(router.app[keys.IN_FLIGHT]) == 1)
    writer.transport.abort()
    assert (await row(router))["outcome"] == "abandoned"


# Bodies


async def raw(router: Router, head: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
    """Return status and error of the answer to a body that is sent by hand."""
    host, port = router.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\n"
    writer.write(lines.encode() + body)
    head_back = await reader.readuntil(b"\r\n\r\n")
    length = int(head_back.lower().partition(b"content-length: ")[2].split()[0])
    error: dict[str, Any] = json.loads(await reader.readexactly(length))["error"]
    writer.close()
    await writer.wait_closed()
    return int(head_back.split()[1]), error


async def test_a_length_that_is_announced_too_long_is_refused_unread(start: Start) -> None:
    """F54"""
    async with start(server={"max_body_mb": 1}) as router:
        status, error = await raw(router, "Content-Length: 1048577")
        assert (status, error["type"]) == (413, "payload_too_large")
        assert error["message"] == "The body is larger than 1 MB ([server] max_body_mb)."


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        ("Content-Length: 2\r\nContent-Encoding: gzip", b"{}", 415),
        ("Content-Length: 2\r\nContent-Encoding: IDENTITY", b"{}", 400),
        ("Transfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked", b"2\r\n{}\r\nzz\r\n", 400),
    ],
    ids=["compressed", "identity", "in chunks", "broken chunks"],
)
async def test_how_a_body_is_sent(router: Router, head: str, body: bytes, status: int) -> None:
    """F55, F62"""
    assert (await raw(router, head, body))[0] == status


async def test_a_body_that_does_not_arrive_is_a_408(start: Start) -> None:
    """F53"""
    async with start(deadlines={"body_s": 0.05}) as router:
        status, error = await raw(router, "Content-Length: 99", b"{")
        assert (status, error["type"]) == (408, "request_timeout")
        assert error["message"] == "The body did not arrive within 0.05 s."


async def test_a_body_that_is_waited_for_is_invited(router: Router, upstream: DemoUpstream) -> None:
    """F54"""
    host, port = router.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = b'{"model":"router","messages":[{"role":"user","content":"hi"}]}'
    head = f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
    writer.write((head + "Expect: 100-continue\r\n\r\n").encode())
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
    writer.close()
    assert len(upstream.calls()) == 1
