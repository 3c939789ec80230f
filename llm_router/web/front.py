"""GET /: says what runs here and where to go on. It holds no data."""

from importlib.resources import files

from aiohttp import web

from llm_router import __version__
from llm_router.web.routes import Route, Scope

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


async def front(request: web.Request) -> web.StreamResponse:
    server = request.get_extra_info("sockname") or ("127.0.0.1", 3456)
    host = f"[{server[0]}]" if ":" in str(server[0]) else server[0]
    page = files("llm_router.web").joinpath("static/front.html").read_text(encoding="utf-8")
    page = page.replace("{version}", __version__)
    page = page.replace("{base}", f"http://{host}:{server[1]}")
    return web.Response(text=page, content_type="text/html", headers=_HEADERS)


ROUTES = (Route("GET", "/", front, Scope.PUBLIC),)
