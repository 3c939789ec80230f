"""`llm-router serve` as the process it is in production."""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_router.demo.upstream import DemoUpstream
from tests.integration.client import calling
from tests.integration.conftest import PATIENCE_S, UPSTREAM_KEY

READY = b"llm-router serves at "


@dataclass
class Server:
    """A running process, its database and the file that takes its log."""

    process: asyncio.subprocess.Process
    url: str
    database: Path
    log: Path

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    def stop(self) -> None:
        """Ask it to end, as service managers do."""
        self.process.send_signal(signal.SIGTERM)

    async def exit_code(self) -> int:
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()

    def rows(self, table: str = "requests") -> list[dict[str, Any]]:
        """Return a ledger table as somebody with a database shell sees it."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(f"SELECT * FROM {table} ORDER BY id")]

    async def is_refusing(self) -> bool:
        """Whether it takes no more connections."""
        try:
            async with calling(self.url):
                return False
        except ConnectionError:
            return True


@asynccontextmanager
async def serving(upstream: DemoUpstream, folder: Path, **environ: str) -> AsyncIterator[Server]:
    """Serve on any port with a database in `folder`; whatever still runs at the end is killed."""
    settings = {
        "OPENROUTER_API_KEY": UPSTREAM_KEY,
        "OPENROUTER_BASE_URL": upstream.url,
        "OLLAMA_BASE_URL": upstream.ollama_url,
        "ROUTING_MODE": "keywords",
        "ROUTER_DB": str(folder / "router.db"),
        "ROUTER_PORT": "0",
        **environ,
    }
    log = folder / "log"
    with log.open("ab") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "llm_router", "serve"),
            cwd=folder,
            env={**os.environ, **settings},
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            line = await process.stdout.readline()
        assert line.startswith(READY), log.read_text()
        url = line.removeprefix(READY).decode().strip()
        yield Server(process, url, folder / "router.db", log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
