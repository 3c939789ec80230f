"""Whatever a client sends: no error of our own, nobody else waits for it, and it costs little."""

import asyncio
import json
import tracemalloc
from contextlib import suppress

from hypothesis import strategies as st

from llm_router.classify.base import Prompt
from llm_router.classify.local import Local
from llm_router.classify.text import peel
from llm_router.errors import InvalidRequest
from llm_router.proxy.body import parse_body
from llm_router.routing.defaults import default_config
from llm_router.settings import UpstreamSettings
from tests.fakes.effort import drawn
from tests.fuzz import shapes
from tests.integration.client import CHAT, calling, checked_error, request
from tests.integration.conftest import PATIENCE_S, Router
from tests.oracles.loop import Longest, longest_callback

BLOCKED_MS = 50
MIB = 1024 * 1024

ADMIN = {
    "/circuit-breaker/force/glm-5": shapes.objects(
        state=st.sampled_from(["open", "closed", "off"])
    ),
    "/config/category": shapes.category_bodies,
    "/config/model-mapping": shapes.mapping_bodies,
    "/route/explain": shapes.chat_bodies,
    "/config": shapes.objects(categories=shapes.values, aliases=shapes.values),
}
_PATHS = """
    / * // /health /metrics /requests /v1/models /v1/models/x /config/history /circuit-breaker
    /metrics?group_by=x /metrics?since=9999999999999 /requests?since=yesterday&limit=-1 http://x/
    /circuit-breaker/reset/none /config/rollback/99 /requests/%2e%2e /config/category/%00
"""
PATHS = st.sampled_from([CHAT, *_PATHS.split(), "/metrics?until=" + "9" * 400])


async def send(router: Router, raw: bytes, longest: Longest) -> bytes:
    """Return everything that comes back on a connection of its own, until it ends or waits."""
    longest.forget()
    came = b""
    async with calling(router.url) as caller:
        caller.writer.write(raw)
        with suppress(ConnectionError):
            caller.writer.write_eof()  # nothing more comes, so whatever waits for it gives up
            async with asyncio.timeout(PATIENCE_S):
                came = await caller.reader.read()
    assert longest.ms < BLOCKED_MS, (longest.ms, longest.what, raw)
    return came


async def ask(router: Router, path: str, body: bytes, longest: Longest) -> int:
    """POST a body; the answer is upstream's or a refusal in the one shape."""
    longest.forget()
    async with calling(router.url) as caller:
        caller.writer.write(request(body, path=path))
        reply = await caller.reply()
    assert reply.is_whole, body
    assert reply.status < 500, (reply.status, reply.body, body)
    if reply.status >= 400:
        checked_error(json.loads(reply.body), reply.status)
    assert longest.ms < BLOCKED_MS, (longest.ms, longest.what, body)
    return reply.status


async def test_no_chat_body_upsets_it(router: Router) -> None:
    """F57 F59 T21 T24"""
    bodies = drawn(shapes.bodies(shapes.chat_bodies), 100)
    with longest_callback() as longest:
        statuses = {await ask(router, CHAT, body, longest) for body in bodies}
    assert statuses <= {200, 400, 404}
    assert len(await router.rows()) == len(bodies)


async def test_no_admin_body_upsets_it(router: Router) -> None:
    """T04 T35"""
    with longest_callback() as longest:
        for path, shape in ADMIN.items():
            for body in drawn(shapes.bodies(shape), 30):
                assert await ask(router, path, body, longest) in (200, 400, 404, 405, 409)


async def test_no_bytes_upset_it(router: Router) -> None:
    """F61 F62 T15: and the next request on another connection is served."""
    with longest_callback() as longest:
        for raw in drawn(shapes.raw_requests(PATHS) | st.binary(max_size=200), 100):
            came = await send(router, raw, longest)
            assert came[:10] not in (b"HTTP/1.1 5", b"HTTP/1.0 5"), (came, raw)
            assert b" 500 " not in came[:20]
    assert (await router.get("/health"))["status"] == "ok"


def test_ten_kilobytes_cost_at_most_a_megabyte() -> None:
    """T24: of memory, from reading them to the body that would go upstream."""
    local, config = Local(), default_config()
    local.judge(Prompt("Hello"), config)  # makes what is made once
    for body in drawn(shapes.bodies(shapes.chat_bodies), 100):
        tracemalloc.start()
        try:
            with suppress(InvalidRequest):
                read = parse_body(body)
                local.judge(peel(read.messages), config)
                read.for_model("a/b", UpstreamSettings())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < MIB, (peak, body)
