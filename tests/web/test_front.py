"""The page at /: it holds no data, and whoever reads it can begin."""

import re

import aiohttp

from llm_router import __version__
from llm_router.web.front import ROUTES
from llm_router.web.routes import Scope
from tests.fakes.server import serving
from tests.integration.conftest import Router


def test_it_is_for_everybody() -> None:
    assert [(r.method, r.path, r.scope) for r in ROUTES] == [("GET", "/", Scope.PUBLIC)]


async def test_it_says_what_runs_here_and_how_to_use_it() -> None:
    response, page, url = await asked()
    assert response.content_type == "text/html"
    assert f"version {__version__} is running" in page
    assert f"<code>{url}/v1</code>" in page
    assert not re.search(r"\{(version|base)\}", page)


async def test_it_needs_nothing_from_elsewhere_and_runs_nothing() -> None:
    """T28"""
    response, page, _ = await asked()
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert "<script" not in page
    assert not re.search(r"(src|@import|url\()", page)


async def asked() -> tuple[aiohttp.ClientResponse, str, str]:
    async with serving(ROUTES[0].handler) as server:
        url = f"http://127.0.0.1:{server.port}"
        async with aiohttp.request("GET", url + "/") as response:
            return response, await response.text(), url


async def test_what_it_links_to_exists(router: Router) -> None:
    async with router.http.get(router.url + "/") as response:
        page = await response.text()
    paths = re.findall(r'href="(/[^"]*)"', page)
    assert "/v1/models" in paths
    for path in paths:
        async with router.http.get(router.url + path) as response:
            assert response.status == 200, path
