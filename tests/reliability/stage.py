"""One router in surroundings of its own, everything that is asked of it, and the comparison."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_router.demo.upstream import DemoUpstream
from reliability import books
from reliability.callers import CHAT, Asked
from reliability.lives import Life, Nursery, open_nursery
from reliability.stage import scripted_upstream, tracebacks
from reliability.wire import Answer, send


@dataclass
class Stage:
    """One router, and all that was asked of it."""

    upstream: DemoUpstream
    nursery: Nursery
    life: Life
    asked: list[Asked] = field(default_factory=list)

    async def ask(self, words: str = "chunks=3", **fields: Any) -> Answer:
        number = len(self.asked)
        message = {"role": "user", "content": f"Request {number}: {words}"}
        body = {"model": "router/code", "messages": [message], "session_id": f"s-{number}"}
        self.asked.append(asked := Asked(f"s-{number}", Answer(), has_left=False))
        answer = await send(self.nursery.port, "POST", CHAT, {**body, **fields})
        self.asked[number] = Asked(asked.session, answer, has_left=False)
        return answer

    async def health(self) -> Any:
        return json.loads((await send(self.nursery.port, "GET", "/health")).body)

    async def gauge(self, name: str) -> float:
        """Return what Prometheus would be told."""
        answer = await send(self.nursery.port, "GET", "/metrics?format=prometheus")
        lines = dict(line.rsplit(" ", 1) for line in answer.body.decode().splitlines())
        return float(lines[f"llm_router_{name}"])

    async def until_gauge(self, name: str, value: float) -> None:
        async with asyncio.timeout(30):
            while await self.gauge(name) != value:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.05)

    def said(self, words: str) -> int:
        """Return how often the log has these words."""
        return self.nursery.log.read_text().count(words)

    async def until_database(self, state: str) -> None:
        """Wait until who reads the database says so, and who writes it."""
        async with asyncio.timeout(30):
            while (await self.health())["database"]["state"] != state:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.05)
        await self.until_gauge("database_failing", float(state == "failing"))

    async def end_and_compare(self, database: Path | None = None) -> None:
        """End the router; every answer must be whole and every row true."""
        await self.life.end()
        found = books.read(database or self.nursery.database)
        assert not books.audit(found, self.upstream.calls(), self.asked).problems
        assert all(each.answer.is_good for each in self.asked)
        assert not tracebacks(self.nursery.log)


@asynccontextmanager
async def staged(folder: Path, **options: Any) -> AsyncIterator[Stage]:
    environ = options.pop("environ", {})
    async with (
        scripted_upstream() as upstream,
        open_nursery(upstream, folder, **options) as nursery,
    ):
        life = await nursery.start(environ=environ)
        try:
            await life.ready()
            yield Stage(upstream, nursery, life)
        finally:
            await life.kill()


def can_unshare(*what: str) -> bool:
    """Whether this machine lets us have such namespaces."""
    if shutil.which("unshare") is None:
        return False
    return not subprocess.run(["unshare", *what, "true"], capture_output=True).returncode
