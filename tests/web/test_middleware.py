"""Whatever is raised becomes an answer in the one shape."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiohttp import ClientError, ClientPayloadError, ClientSession, web

from llm_router.errors import (
    ClientGone,
    Conflict,
    HttpError,
    NoCandidate,
    NotFound,
    StorageError,
    Unauthorized,
    UpstreamFailed,
)
from llm_router.keys import ACCESS, CLIENT_KEY, EXCHANGE, LIFECYCLE, REQUEST_ID, SCOPES
from llm_router.logs import request_id
from llm_router.proxy.relay import ResponseCut
from llm_router.settings import DeadlineSettings, ServerSettings
from llm_router.web.access import Access
from llm_router.web.lifecycle import Lifecycle
from llm_router.web.middleware import access, errors, plain_headers
from llm_router.web.routes import Scope
from llm_router.web.server import Runner, headers_arrived
from tests.fakes.clock import Clock

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def asking(handler: Handler, scope: Scope | None = Scope.PUBLIC) -> AsyncIterator[Any]:
    """Yield a function that asks for a path and returns status, headers and body."""
    app = web.Application(
        middlewares=[headers_arrived, errors, access], client_max_size=1024 * 1024
    )
    app[ACCESS] = Access(ServerSettings(), Clock())
    route = app.router.add_get("/", handler)
    app.router.add_post("/both", handler)
    app.router.add_get("/both", handler)
    app[SCOPES] = {route: scope} if scope is not None else {}
    app.on_response_prepare.append(plain_headers)
    app[LIFECYCLE] = Lifecycle(Clock())
    runner = Runner(app, DeadlineSettings())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with ClientSession() as session:

            async def ask(path: str = "/", method: str = "GET", **options: Any) -> Any:
                async with session.request(method, url + path, **options) as response:
                    body = await response.read()
                    return response.status, response.headers, body

            yield ask
    finally:
        await runner.cleanup()


def raising(error: BaseException) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        raise error

    return handler


async def error_of(error: BaseException) -> tuple[int, dict[str, Any], Any]:
    """Return status, error object and headers of the answer to what a handler raises."""
    async with asking(raising(error)) as ask:
        status, headers, body = await ask()
    document = json.loads(body)
    assert document.keys() == {"error"}
    assert document["error"]["code"] == status
    assert headers["x-router-request-id"].startswith("req_")
    return status, document["error"], headers


async def test_an_error_of_ours_is_its_answer() -> None:
    error = NotFound("gone", param="model", metadata={"near": ["a"]})
    status, shown, headers = await error_of(error)
    assert status == 404
    assert shown == {
        "message": "gone",
        "code": 404,
        "type": "not_found",
        "param": "model",
        "metadata": {"near": ["a"]},
    }
    assert headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NoCandidate("x", retry_after_s=0.2), {"Retry-After": "1", "x-should-retry": None}),
        (NoCandidate("x", retry_after_s=59.1), {"Retry-After": "60", "x-should-retry": None}),
        (NoCandidate("x", retry_after_s=300), {"Retry-After": "300", "x-should-retry": "false"}),
        (UpstreamFailed("x", is_final=True), {"x-should-retry": "false", "Retry-After": None}),
        (Unauthorized("x"), {"WWW-Authenticate": 'Bearer realm="llm-router"'}),
        (Conflict("x", headers={"X-More": "y"}), {"X-More": "y", "WWW-Authenticate": None}),
    ],
    ids=[
        "at least a second",
        "rounded up",
        "too long to wait",
        "final",
        "a key is wanted",
        "more headers",
    ],
)
async def test_headers_say_whether_and_when_to_come_back(
    error: HttpError, expected: dict[str, str | None]
) -> None:
    _, _, headers = await error_of(error)
    assert {name: headers.get(name) for name in expected} == expected


async def test_a_database_in_trouble_is_a_503_for_a_moment() -> None:
    """F86"""
    status, shown, headers = await error_of(StorageError("locked"))
    assert (status, shown["type"], headers["Retry-After"]) == (503, "unavailable", "5")
    assert "locked" in shown["message"]


async def test_what_nobody_expected_is_a_500_with_its_details_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """T40"""
    status, shown, headers = await error_of(KeyError("sk-secret"))
    assert (status, shown["type"]) == (500, "internal")
    assert headers["x-router-request-id"] in shown["message"]
    assert "sk-secret" not in shown["message"]
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None


async def test_an_answer_in_aiohttps_own_words_gets_ours() -> None:
    status, shown, _ = await error_of(web.HTTPRequestEntityTooLarge(1024, 2048))
    assert (status, shown["type"]) == (413, "payload_too_large")
    status, shown, _ = await error_of(web.HTTPExpectationFailed())
    assert (status, shown["type"]) == (417, "invalid_request")


async def test_a_path_that_does_not_exist_says_what_does() -> None:
    """F60"""
    async with asking(raising(AssertionError())) as ask:
        for path in ("/v1/embeddings", "/v1/responses", "/%2e%2e/etc/passwd", "/x" * 500):
            status, _, body = await ask(path)
            error = json.loads(body)["error"]
            assert (status, error["type"]) == (404, "not_found")
            assert "POST /v1/chat/completions" in error["message"]
            assert "passwd" not in error["message"]


async def test_a_method_that_does_not_fit_says_which_do() -> None:
    """F60"""
    async with asking(raising(AssertionError())) as ask:
        status, headers, body = await ask("/both", "DELETE")
    assert status == 405
    assert headers["Allow"] == "GET, HEAD, POST"
    assert json.loads(body)["error"]["message"].startswith("DELETE is not for this path; it takes ")


@pytest.mark.parametrize(
    "error", [ResponseCut("cut"), ClientGone("left")], ids=["a cut", "a client that left"]
)
async def test_a_connection_that_is_over_gets_no_answer(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async with asking(raising(error)) as ask:
        with pytest.raises(ClientError):
            await ask()
    assert caplog.records == []


async def test_a_cancelled_request_stays_cancelled() -> None:
    """F47"""
    with pytest.raises(ClientError):
        await error_of(asyncio.CancelledError())


async def test_every_request_has_an_id_of_its_own_also_in_the_log() -> None:
    seen: list[tuple[str, str | None]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request[REQUEST_ID], request_id.get()))
        return web.Response()

    async with asking(handler) as ask:
        await asyncio.gather(ask(), ask())
        await ask()
    ids = [one for one, _ in seen]
    assert len(set(ids)) == 3
    assert ids == [other for _, other in seen]


async def test_errors_say_what_the_exchange_knows() -> None:
    class Exchange:
        def headers(self) -> dict[str, str]:
            return {"x-router-request-id": "req_1", "x-router-category": "code"}

    async def handler(request: web.Request) -> web.StreamResponse:
        request[EXCHANGE] = cast(Any, Exchange())
        raise UpstreamFailed("x")

    async with asking(handler) as ask:
        _, headers, _ = await ask()
    assert headers["x-router-category"] == "code"


async def test_who_is_draining_says_with_each_answer_that_it_is_the_connections_last() -> None:
    """F66: closing an idle connection might cross a request that is on its way."""

    async def handler(request: web.Request) -> web.StreamResponse:
        request.app[LIFECYCLE].is_draining = True
        return web.Response(text="x")

    async with asking(handler) as ask:
        _, headers, _ = await ask()
    assert headers["Connection"] == "close"


@pytest.mark.parametrize("error", [None, UpstreamFailed("x")], ids=["answer", "error"])
async def test_no_response_names_the_software_or_lets_itself_be_sniffed(
    error: HttpError | None,
) -> None:
    """T28, T40"""

    async def handler(request: web.Request) -> web.StreamResponse:
        if error is not None:
            raise error
        return web.Response(text="<b>")

    async with asking(handler) as ask:
        _, headers, _ = await ask()
    assert headers["Server"] == "llm-router"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in headers


async def test_access_is_checked_before_the_handler_and_names_the_key() -> None:
    names: list[str | None] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        names.append(request[CLIENT_KEY])
        return web.Response()

    async with asking(handler, Scope.ADMIN) as ask:
        assert (await ask())[0] == 200
        assert (await ask(headers={"Via": "1.1 proxy"}))[0] == 403
    assert names == [None]


@pytest.mark.parametrize(("error", "closes"), [(400, True), (413, True), (404, False)])
async def test_a_body_that_is_not_worth_reading_costs_the_connection(
    error: int, closes: bool
) -> None:
    refusal = {
        400: web.HTTPBadRequest(),
        413: web.HTTPRequestEntityTooLarge(1, 2),
        404: web.HTTPNotFound(),
    }[error]
    _, _, headers = await error_of(refusal)
    assert (headers.get("Connection") == "close") is closes


async def test_a_route_that_does_not_say_who_may_use_it_is_nobodys() -> None:
    """T03: deny by default."""
    async with asking(raising(AssertionError()), scope=None) as ask:
        status, _, body = await ask()
        assert (status, json.loads(body)["error"]["type"]) == (403, "forbidden")
        assert (await ask("/nothing"))[0] == 404
        assert (await ask("/both", "DELETE"))[0] == 405


async def test_an_answer_that_has_begun_is_cut_instead_of_followed_by_another() -> None:
    """F65: a second answer in the midst of the first would be taken for its content."""

    async def begun(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        raise Conflict("too late")

    async with asking(begun) as ask:
        with pytest.raises(ClientPayloadError):
            await ask()
