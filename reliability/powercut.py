"""Cut the power at random points, and see whether what was promised is still there.

Nothing is really cut: routers run with every write, sync, creation and removal written down, and
for each point a disk is made that holds what it must, or by luck a little more. A router is started
on it, and its rows are held against what upstream and the clients had seen by then.

Rows are in the database, and synced, a tenth of a second after the fact. So in every second
recording somebody keeps the database locked, and only the journal stands for what was promised.
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from llm_router.demo.script import Call
from llm_router.demo.upstream import DemoUpstream
from reliability import books, disk, shims
from reliability.books import Books
from reliability.callers import Asked, Callers
from reliability.disk import Disk, Luck, Step
from reliability.lives import DidNotStart, Life, Nursery, open_nursery
from reliability.report import Report
from reliability.stage import locked, scripted_upstream
from reliability.verdict import at_work
from reliability.wire import send
from reliability.witness import Witness

_LUCK: tuple[Luck, ...] = ("nothing", "nothing", "some", "all")
# `sync_s`, and whether the database is locked.
_CONDITIONS = ((1.0, False), (1.0, True), (0.0, False), (0.0, True))
# Beyond `sync_s`: a machine that also runs upstream and the clients is late with everything.
LATE_S = 0.25


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What was done to the disk, and what the world saw meanwhile; times are monotonic."""

    steps: list[Step]
    calls: list[Call]
    asked: list[Asked]
    acknowledgements: list[tuple[float, int]]
    sync_s: float


@dataclass(frozen=True, slots=True)
class _Found:
    """What a router makes of a restored disk."""

    books: Books
    configuration: int


async def run(
    folder: Path, *, count: int, seed: int, serving_s: float = 2.0, points_each: int = 20
) -> Report:
    """Try `count` points, `points_each` on one recording of two lives."""
    chance, began = random.Random(seed), time.monotonic()
    shim = shims.build("record", folder)
    facts: Counter[str] = Counter()
    oldest_s = {0.0: 0.0, 1.0: 0.0}
    problems: list[str] = []
    async with (
        scripted_upstream() as upstream,
        open_nursery(upstream, folder, preload=shim) as recording,
        open_nursery(upstream, folder) as restoring,
    ):
        for first in range(0, count, points_each):
            place = folder / f"from-{first}"
            place.mkdir()
            sync_s, is_locked = _CONDITIONS[first // points_each % len(_CONDITIONS)]
            plan = _Plan(place, chance.getrandbits(32), serving_s, sync_s, is_locked)
            recorded = await _record(upstream, recording, plan)
            points = disk.moments(recorded.steps, min(points_each, count - first), chance)
            for number, at in enumerate(points, first):
                luck = chance.choice(_LUCK)
                restored = place / f"{number}"
                Disk(recorded.steps, at).write(restored, place, luck, chance)
                facts[f"kept {luck} of what was not synced"] += 1
                facts["answers"] += sum(a.ended_at <= at for a in recorded.asked)
                lost_s, broken = await _judge(restoring, restored, recorded, at)
                oldest_s[sync_s] = max(oldest_s[sync_s], lost_s)
                problems += [f"point {number} ({luck}): {text}" for text in broken]
    return Report(
        "powercut",
        {
            "seed": seed,
            "points": count,
            "seconds": round(time.monotonic() - began),
            **facts,
            "oldest_lost_outcome_ms": {
                f"sync_s = {sync_s:g}": round(s * 1000) for sync_s, s in oldest_s.items()
            },
        },
        problems,
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """One recording."""

    place: Path
    seed: int
    serving_s: float
    sync_s: float
    is_locked: bool

    @property
    def database(self) -> Path:
        return self.place / "router.db"

    @property
    def record(self) -> Path:
        return self.place.with_suffix(".record")

    def environ(self) -> dict[str, str]:
        return {
            "ROUTER_DB": str(self.database),
            "RECORD_ROOT": str(self.place),
            "RECORD_FILE": str(self.record),
            "LLM_ROUTER_LEDGER__SYNC_S": str(self.sync_s),
        }


async def _record(upstream: DemoUpstream, nursery: Nursery, plan: _Plan) -> _Recorded:
    """Let one router serve and be killed, and a second one take over and end in peace."""
    upstream.clear()
    load = Callers(nursery.port, plan.seed, count=4)
    witness = Witness(nursery.port, plan.seed)
    async with at_work(load, witness):
        await (await _serve(nursery, plan)).kill()
        life = await _serve(nursery, plan)
    await life.end()
    steps, asked = disk.read(plan.record), [*load.asked, *witness.asked]
    return _Recorded(steps, upstream.calls(), asked, witness.acknowledgements, plan.sync_s)


async def _serve(nursery: Nursery, plan: _Plan) -> Life:
    life = await nursery.start(environ=plan.environ())
    await life.ready()
    with locked(plan.database) if plan.is_locked else nullcontext():
        await asyncio.sleep(plan.serving_s)
    return life


async def _judge(
    nursery: Nursery, restored: Path, recorded: _Recorded, at: float
) -> tuple[float, list[str]]:
    """Return how old the oldest lost outcome is, and each promise that a restored disk breaks."""
    try:
        found = await _restart(nursery, restored)
    except DidNotStart as exc:
        return 0.0, [f"it did not start: {exc}"]
    lost_s = _oldest_lost(recorded, at, found.books)
    return lost_s, list(_broken_promises(recorded, at, found, lost_s))


async def _restart(nursery: Nursery, restored: Path) -> _Found:
    life = await nursery.start(environ={"ROUTER_DB": str(restored / "router.db")})
    await life.ready()
    answer = await send(nursery.port, "GET", "/config")
    wobbly = json.loads(answer.body)["categories"].get("wobbly", {})
    await life.kill()
    return _Found(books.read(restored / "router.db"), int(wobbly.get("description", 0)))


def _oldest_lost(recorded: _Recorded, at: float, found: Books) -> float:
    """Return how long before the cut the oldest answer ended whose outcome is lost."""
    ages = [
        at - asked.ended_at
        for asked in recorded.asked
        if asked.answer.is_good and asked.ended_at <= at and not _is_completed(found, asked)
    ]
    return max(ages, default=0.0)


def _is_completed(found: Books, asked: Asked) -> bool:
    return [row["outcome"] for row in found.by_session.get(asked.session, [])] == ["completed"]


def _broken_promises(recorded: _Recorded, at: float, found: _Found, lost_s: float) -> Iterator[str]:
    allowed_s = recorded.sync_s + LATE_S if recorded.sync_s else 0.0
    if lost_s > allowed_s:
        yield f"an outcome {lost_s * 1000:.0f} ms old is lost"
    acknowledged = [number for when, number in recorded.acknowledgements if when <= at]
    if found.configuration < max(acknowledged, default=0):
        yield f"change {max(acknowledged)} was acknowledged, {found.configuration} is there"
    for call in recorded.calls:
        if call.started <= at - allowed_s - LATE_S:
            rows = found.books.by_session.get(call.json()["session_id"], [])
            if len(rows) != 1:
                yield f"{call.json()['session_id']} was called, {len(rows)} rows"
    asked = [each for each in recorded.asked if each.ended_at <= at - allowed_s]
    yield from books.audit(found.books, recorded.calls, asked, is_settled=False).untrue
