"""Whole routers without descriptors, without time, and stopped."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from llm_router.tasks import spawn
from reliability import books, shims
from reliability.callers import CHAT
from reliability.lives import Life
from reliability.wire import Answer, send
from tests.reliability.stage import Stage, can_unshare, staged

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs pidfds and /proc")


async def test_out_of_descriptors_it_goes_on_with_what_it_has(tmp_path: Path) -> None:
    """F75: clients too many are told so; the others, their calls and the books have enough."""
    async with staged(tmp_path, within=("prlimit", "--nofile=100")) as stage:
        idle = [await asyncio.open_connection("127.0.0.1", stage.nursery.port) for _ in range(60)]
        async with asyncio.timeout(30):
            told = [await reader.read() for reader, _ in idle[18:]]
        assert all(b"503 Service Unavailable" in answer for answer in told)
        ticks = _cpu_ticks(stage.life)
        await asyncio.sleep(1)  # long enough to tell spinning from what follows a start
        assert _cpu_ticks(stage.life) - ticks < 50, "it must not spin"
        for _, writer in idle:
            writer.close()
        async with asyncio.timeout(30):
            while (await _health(stage)).is_turned_away:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.05)
        assert (await stage.ask()).is_good
        await stage.end_and_compare()


async def _health(stage: Stage) -> Answer:
    return await send(stage.nursery.port, "GET", "/health")


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
            with clock.open("r+b") as mapped:  # emptied first, it would kill whoever reads the time
                mapped.write(jump_ns.to_bytes(8, sys.byteorder, signed=True))
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


@pytest.mark.skipif(not can_unshare("-T"), reason="this machine lets nobody set a boot clock")
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
