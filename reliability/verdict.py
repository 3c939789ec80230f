"""How a trial ends: its last router in peace, and everything compared."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from llm_router.demo.upstream import DemoUpstream
from llm_router.tasks import spawn
from reliability import books
from reliability.callers import Callers
from reliability.lives import Life, Nursery
from reliability.stage import left_over, settled, tracebacks
from reliability.witness import Witness


@dataclass(frozen=True, slots=True)
class Verdict:
    """`facts` and `problems` are for the trial's report."""

    facts: dict[str, Any]
    problems: Sequence[str]


@asynccontextmanager
async def at_work(load: Callers, witness: Witness | None = None) -> AsyncIterator[None]:
    """Have clients ask, and an operator change things, until the block ends and they are done."""
    workers: list[Callers | Witness] = [load] if witness is None else [load, witness]
    tasks = [spawn(each.run(), name=type(each).__name__) for each in workers]
    yield
    for each in workers:
        each.stop()
    await asyncio.gather(*tasks)


async def judge(
    life: Life,
    nursery: Nursery,
    upstream: DemoUpstream,
    load: Callers,
    witness: Witness | None = None,
) -> Verdict:
    """End a router once its costs are known, and compare what everybody has seen."""
    is_settled = await settled(nursery.database)
    await life.end()
    found = books.read(nursery.database)
    asked = load.asked if witness is None else [*load.asked, *witness.asked]
    findings = books.audit(found, upstream.calls(), asked)
    facts = {
        "connections_refused": load.refused,
        "whole_answers": sum(each.answer.is_good for each in load.asked),
        "costs_settled": is_settled,
        **books.summary(found, findings),
    }
    problems = [*findings.problems, *left_over(nursery.database), *tracebacks(nursery.log)]
    if witness is not None:
        facts = {"changes_acknowledged": witness.acknowledged, **facts}
        problems += witness.violations
    return Verdict(facts, problems)
