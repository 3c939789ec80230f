"""Whole routers without descriptors, without disk, without time, and stopped."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from llm_router.demo.upstream import DemoUpstream
from llm_router.tasks import spawn
from reliability import books, shims
from reliability.callers import CHAT, Asked
from reliability.lives import Life, Nursery, open_nursery
from reliability.stage import left_over, locked, scripted_upstream, tracebacks
from reliability.wire import Answer, send
from tests.fakes.waiting import until
from tests.oracles.resources import descriptors

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs pidfds and /proc")


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

    async def until_database(self, state: str) -> None:
        async with asyncio.timeout(30):
            while (await self.health())["database"]["state"] != state:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.05)

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


async def test_out_of_descriptors_it_goes_on_with_what_it_has(tmp_path: Path) -> None:
    """F75: clients too many are told so; the others, their calls and the books have enough."""
    async with staged(tmp_path, within=("prlimit", "--nofile=100")) as stage:
        idle = [await asyncio.open_connection("127.0.0.1", stage.nursery.port) for _ in range(60)]
        async with asyncio.timeout(30):
            told = [await reader.read() for reader, _ in idle[18:]]
        assert all(b"503 Service Unavailable" in answer for answer in told)
        ticks = _cpu_ticks(stage.life)
        await asyncio.sleep(0.3)
        assert _cpu_ticks(stage.life) - ticks < 15, "it must not spin"
        before = len(descriptors(stage.life.pid))
        for _, writer in idle:
            writer.close()
        await until(lambda: len(descriptors(stage.life.pid)) <= before - 18)
        assert (await stage.ask()).is_good
        await stage.end_and_compare()


def _cpu_ticks(life: Life) -> int:
    facts = Path(f"/proc/{life.pid}/stat").read_text().rpartition(")")[2].split()
    return int(facts[11]) + int(facts[12])


async def test_a_router_that_is_stopped_and_goes_on_has_lost_nothing(tmp_path: Path) -> None:
    """F72: streams wait with it and end well; nobody takes it for dead."""
    async with staged(tmp_path) as stage:
        streams = [
            spawn(stage.ask("chunks=20 gap=20", stream=True), name="stream") for _ in range(4)
        ]
        await asyncio.sleep(0.1)
        stage.life.send(signal.SIGSTOP)
        await asyncio.sleep(1)
        stage.life.send(signal.SIGCONT)
        await asyncio.gather(*streams)
        await stage.end_and_compare()


async def test_a_wall_clock_that_jumps_moves_no_deadline(tmp_path: Path) -> None:
    """F77: an hour and ten years, to and fro, during a stream; a breaker stays as it is."""
    if shims.compiler() is None:
        pytest.skip("there is no C compiler to build the shim")
    clock = tmp_path / "clock"
    clock.write_bytes(bytes(8))
    hour_ns = 3_600 * 10**9
    options = {"preload": shims.build("clock", tmp_path), "environ": {"CLOCK_FILE": str(clock)}}
    async with staged(tmp_path, **options) as stage:
        for _ in range(3):
            await send(stage.nursery.port, "POST", CHAT, _failing())
        for jump_ns in (hour_ns, -hour_ns, 87_600 * hour_ns, -87_600 * hour_ns, 0):
            stream = spawn(stage.ask("chunks=10 gap=20", stream=True), name="stream")
            await asyncio.sleep(0.1)
            clock.write_bytes(jump_ns.to_bytes(8, sys.byteorder, signed=True))
            assert (await stream).is_good
            refused = await send(stage.nursery.port, "POST", CHAT, _failing())
            assert refused.error_type == "no_candidate"
            assert 200 < int(refused.headers["retry-after"]) <= 300
        await stage.life.end()
        rows = books.read(stage.nursery.database).requests
    assert {row["outcome"] for row in rows} == {"completed", "failed"}
    assert all(row["started_at"] <= row["finished_at"] for row in rows)
    assert all(row["total_ms"] < 10_000 for row in rows)


def _failing() -> dict[str, Any]:
    message = {"role": "user", "content": "[[demo status=500]]"}
    return {"model": "demo/broken", "messages": [message]}


def _can_unshare(*what: str) -> bool:
    if shutil.which("unshare") is None:
        return False
    return not subprocess.run(["unshare", *what, "true"], capture_output=True).returncode


@pytest.mark.skipif(not _can_unshare("-T"), reason="this machine lets nobody set a boot clock")
@pytest.mark.parametrize(("asleep_s", "state"), [(200, "no_candidate"), (301, "upstream_failed")])
async def test_a_breaker_waits_on_while_the_machine_sleeps(
    tmp_path: Path, asleep_s: int, state: str
) -> None:
    """F78: after five minutes of sleep the model is tried again, and not before."""
    async with staged(tmp_path) as stage:
        for _ in range(3):
            await send(stage.nursery.port, "POST", CHAT, _failing())
        await stage.life.end()
    later = ("unshare", "-T", "--boottime", str(asleep_s))
    async with staged(tmp_path, within=later) as stage:
        assert (await send(stage.nursery.port, "POST", CHAT, _failing())).error_type == state


IN_A_TMPFS = ("unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=4m none "$0" && exec "$@"')


@pytest.mark.skipif(not _can_unshare("-rm"), reason="this machine lets nobody mount a file system")
async def test_a_full_disk_delays_rows_and_nothing_else(tmp_path: Path) -> None:
    """F84: traffic goes on, changes are refused in words, and with room again all rows come."""
    small = tmp_path / "small"
    small.mkdir()
    environ = {"ROUTER_DB": str(small / "router.db")}
    async with staged(tmp_path, within=(*IN_A_TMPFS, str(small)), environ=environ) as stage:
        seen = Path(f"/proc/{stage.nursery.pid}/root", *small.parts[1:])
        assert (await stage.ask()).is_good
        ballast = seen / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(65_536))
            except OSError:
                pass
        for number in range(30):
            assert (await stage.ask(stream=number % 2 == 0)).is_good
        await stage.until_database("failing")
        assert (await stage.health())["status"] == "degraded"
        category = {"name": "poems", "models": ["glm-5"]}
        refused = await send(stage.nursery.port, "POST", "/config/category", category)
        assert refused.status == 503
        assert "disk is full" in json.loads(refused.body)["error"]["message"]
        ballast.unlink()
        await stage.until_database("ok")
        await stage.life.end()
        shutil.copy(seen / "router.db", stage.nursery.database)  # SQLite goes by real paths
        await stage.end_and_compare()


@pytest.mark.slow
async def test_a_lock_that_somebody_else_holds_delays_rows_and_nothing_else(tmp_path: Path) -> None:
    """F86: a forgotten transaction in a database shell."""
    async with staged(tmp_path) as stage:
        with locked(stage.nursery.database):
            for _ in range(50):
                assert (await stage.ask()).is_good
            await stage.until_database("failing")
            assert (await stage.ask()).is_good
        await stage.until_database("ok")
        await stage.end_and_compare()
        assert not list(left_over(stage.nursery.database))
