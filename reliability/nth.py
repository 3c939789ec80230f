"""Let the n-th call to the disk fail, for every n in turn, and see whether anything is lost by it.

Each time a router starts, serves a few requests and one change of the configuration, and ends, with
one call (or a handful of them) failing on the way. Then a router on a healthy disk takes over, and
everything must be there: answers do not depend on the disk, entries wait in memory until it takes
them, and what cannot be done is refused in words.
"""

import errno
import itertools
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llm_router.demo.upstream import DemoUpstream
from reliability import books, shims
from reliability.callers import CHAT, Asked
from reliability.lives import DidNotStart, Nursery, open_nursery
from reliability.report import Report
from reliability.stage import left_over, scripted_upstream, settled, tracebacks
from reliability.wire import send
from reliability.witness import Witness

_REQUESTS = 6
_WHAT = {"w": "writes", "s": "syncs", "t": "truncations", "o": "creations", "u": "removals"}
# As many calls as such a life makes, about, with its database to be made first and without.
_CALLS = {"w": (250, 60), "s": (60, 40), "t": (8, 4), "o": (8, 4), "u": (8, 4)}
_HOW = ("EIO", "ENOSPC", "EINTR", "short")


@dataclass(frozen=True, slots=True)
class _Fault:
    what: str
    at: int
    times: int
    how: str
    is_first_start: bool

    def __str__(self) -> str:
        return f"{self.how} from {_WHAT[self.what]} {self.at} to {self.at + self.times - 1}"

    def environ(self, root: Path) -> dict[str, str]:
        how = self.how if self.how == "short" else str(getattr(errno, self.how))
        return {
            "FAIL_ROOT": str(root),
            "FAIL_WHAT": self.what,
            "FAIL_AT": str(self.at),
            "FAIL_TIMES": str(self.times),
            "FAIL_HOW": how,
        }


async def run(folder: Path, *, count: int, seed: int) -> Report:
    """Try `count` faults, spread over all calls of a life."""
    shim = shims.build("fail", folder)
    began = time.monotonic()
    seen: Counter[str] = Counter()
    problems: list[str] = []
    async with (
        scripted_upstream() as upstream,
        open_nursery(upstream, folder, preload=shim) as failing,
        open_nursery(upstream, folder) as healthy,
    ):
        made = folder / "made"
        made.mkdir()
        await (await healthy.start(environ={"ROUTER_DB": str(made / "router.db")})).briefly()
        for number, fault in enumerate(_faults(count, random.Random(seed))):
            place = folder / f"{number}"
            if fault.is_first_start:
                place.mkdir()
            else:
                shutil.copytree(made, place)
            seen[_WHAT[fault.what]] += 1
            found = await _try(upstream, failing, healthy, place, fault, seen)
            problems += [f"{fault}: {text}" for text in found]
        problems += tracebacks(failing.log)
    facts = {"seed": seed, "faults": count, "seconds": round(time.monotonic() - began), **seen}
    return Report("nth", facts, problems)


def _faults(count: int, chance: random.Random) -> Iterator[_Fault]:
    """Yield faults of all kinds, those that most calls belong to the most often."""
    kinds = itertools.cycle("wwwwwsssstouwwwssw")
    for number, what in enumerate(itertools.islice(kinds, count)):
        is_first = number % 3 == 0
        hows = _HOW if what == "w" else _HOW[:2]
        times = chance.choice((1, 1, 5, 100_000))
        at = chance.randint(1, _CALLS[what][not is_first])
        yield _Fault(what, at, times, chance.choice(hows), is_first)


async def _try(
    upstream: DemoUpstream,
    failing: Nursery,
    healthy: Nursery,
    place: Path,
    fault: _Fault,
    seen: Counter[str],
) -> list[str]:
    upstream.clear()
    told = failing.log.stat().st_size if failing.log.exists() else 0
    database = place / "router.db"
    witness = Witness(failing.port, fault.at)
    life = await failing.start(environ={"ROUTER_DB": str(database), **fault.environ(place)})
    problems, asked = [], []
    try:
        await life.ready()
    except DidNotStart as exc:
        seen["starts refused"] += 1
        await life.gone()
        if not str(exc):
            problems.append("the start was refused without a word")
    else:
        for number in range(_REQUESTS):
            asked.append(await _ask(failing.port, number))
            if number == _REQUESTS // 2:
                await witness.configure()
        problems += [f"{a.session} was not answered" for a in asked if not a.answer.is_good]
        await life.end()
    second = await healthy.start(environ={"ROUTER_DB": str(database)})
    await second.ready()
    witness.move_to(healthy.port)
    await witness.check()
    await settled(database)
    await second.end()
    problems += left_over(database)
    lost = books.audit(books.read(database), upstream.calls(), asked).problems
    if lost and _told_of_loss(failing.log.read_text()[told:]):
        # The disk never recovered, and what waited in memory at the end went with the process.
        seen["ends at which entries were lost, and the log said so"] += 1
        lost = []
    return [*problems, *lost, *witness.violations]


def _told_of_loss(log: str) -> bool:
    return "could not be written and are lost" in log


async def _ask(port: int, number: int) -> Asked:
    message = {"role": "user", "content": f"Request {number}: chunks=3"}
    session = f"s-{number}"
    body = {"model": "router/code", "messages": [message], "stream": number % 2 == 0}
    return Asked(session, await send(port, "POST", CHAT, {**body, "session_id": session}), False)
