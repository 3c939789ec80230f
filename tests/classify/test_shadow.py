import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from llm_router.classify.base import CallBook, Decision, FinishedCall, NoBook, Prompt
from llm_router.classify.shadow import MOST_AT_ONCE, Shadow
from llm_router.ledger.cost import UNKNOWN_COST
from llm_router.ledger.entry import ShadowDecided
from llm_router.routing.config import RoutingConfig
from tests.classify.helpers import FakeClock, config, until

PROMPT = Prompt("Why is the sky blue?")
JUDGED = Decision("reasoning", "local", 0.9)


@dataclass
class Other:
    """A classifier that says `code`, once it may."""

    may: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0

    async def decide(self, prompt: Prompt, config: RoutingConfig, book: CallBook) -> Decision:
        self.asked += 1
        await self.may.wait()
        return Decision("code", "keywords", 0.6)

    async def warm(self) -> None: ...

    def status(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def other() -> Other:
    return Other()


def shadow(other: Other, entries: list[ShadowDecided]) -> Shadow:
    return Shadow("keywords", other, entries.append, FakeClock())


async def test_both_decisions_are_booked_and_nothing_of_the_text(other: Other) -> None:
    entries: list[ShadowDecided] = []
    beside = shadow(other, entries)
    other.may.set()
    beside.compare("req_1", PROMPT, config(), JUDGED)
    assert entries == [], "nobody waits for it"
    await until(lambda: entries != [])
    [entry] = entries
    expected = ("req_1", 1000.0, "local", "reasoning", 0.9, "keywords", "keywords", "code", 0.6)
    assert entry == ShadowDecided(*expected, entry.shadow_ms)


async def test_prompts_beyond_a_bound_are_left_out_and_counted(other: Other) -> None:
    """T23"""
    entries: list[ShadowDecided] = []
    beside = shadow(other, entries)
    for number in range(MOST_AT_ONCE + 2):
        beside.compare(f"req_{number}", PROMPT, config(), JUDGED)
    assert beside.status() == {"mode": "keywords", "dropped": 2}
    other.may.set()
    await until(lambda: len(entries) == MOST_AT_ONCE)
    beside.compare("req_later", PROMPT, config(), JUDGED)
    await until(lambda: len(entries) == MOST_AT_ONCE + 1)


async def test_nothing_is_journaled_after_the_end(other: Other) -> None:
    entries: list[ShadowDecided] = []
    beside = shadow(other, entries)
    beside.compare("req_1", PROMPT, config(), JUDGED)
    await until(lambda: other.asked == 1)
    await beside.close()
    other.may.set()
    await asyncio.sleep(0)
    assert entries == []


def test_the_book_of_those_who_cost_nothing_takes_no_calls() -> None:
    with pytest.raises(AssertionError, match="a/b was called without a ledger"):
        NoBook().attempt_started("a/b")
    with pytest.raises(AssertionError, match="1 was never started"):
        NoBook().attempt_finished("1", FinishedCall("completed", UNKNOWN_COST))
