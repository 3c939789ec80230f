import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router.classify.base import By, CallBook, Decision, Judge, Prompt, StepFault
from llm_router.classify.guard import REST_S
from llm_router.classify.hybrid import HybridClassifier
from llm_router.classify.keywords import Keywords
from llm_router.classify.labels import labels_of
from llm_router.classify.local import Local
from llm_router.routing.config import RoutingConfig
from llm_router.settings import ClassifierSettings
from tests.classify.helpers import Book, FakeClock, config, own, until

CLEAR = Prompt("Write a python function that parses json")
DOUBT = "lorem ipsum amet aliqua consectetur adipiscing elit nostrud eiusmod"


@dataclass
class Scripted:
    """A step that answers, or raises, what it was told to; `limits` are what it was allowed."""

    name: By = "ollama"
    answer: str | BaseException = "reasoning"
    limits: list[float] = field(default_factory=list)
    waits: asyncio.Event | None = None
    events: list[str] = field(default_factory=list)

    async def decide(
        self, prompt: Prompt, config: RoutingConfig, book: CallBook, limit_s: float
    ) -> Decision:
        self.limits.append(limit_s)
        if self.waits is not None:
            await self.waits.wait()
        if isinstance(self.answer, BaseException):
            raise self.answer
        return Decision(self.answer, self.name)

    def status(self) -> str:
        return "ok"

    async def start(self) -> None:
        self.events.append("started")

    async def close(self) -> None:
        self.events.append("closed")


def doubt(number: int = 0) -> Prompt:
    """A prompt that no keyword knows, another one for each number."""
    return Prompt(f"{DOUBT} q{number}q")


def hybrid(
    *steps: Scripted,
    clock: FakeClock | None = None,
    judge: Judge | None = None,
    asks_first: bool = False,
    **settings: Any,
) -> HybridClassifier:
    return HybridClassifier(
        ClassifierSettings(**settings),
        steps,
        clock or FakeClock(),
        lambda: judge or Keywords(),
        asks_first=asks_first,
    )


async def test_a_prompt_waits_for_the_warm_up_and_the_loop_does_not() -> None:
    goes_on = threading.Event()

    class Slow(Keywords):
        is_warm = False

        def warm(self) -> None:
            self.is_warm = goes_on.wait(10)

    judge = Slow()
    classifier = hybrid(judge=judge)
    warming = asyncio.ensure_future(classifier.warm())
    await asyncio.sleep(0)
    deciding = asyncio.ensure_future(classifier.decide(CLEAR, config(), Book()))
    left = asyncio.ensure_future(classifier.decide(doubt(), config(), Book()))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait([left])
    assert not deciding.done()
    goes_on.set()
    assert (await deciding).by == "keywords"
    assert judge.is_warm
    await warming


async def test_tools_decide_before_anything_is_read() -> None:
    step = Scripted()
    prompt = Prompt(CLEAR.text, has_tools=True)
    decision = await hybrid(step).decide(prompt, config(), Book())
    assert (decision.category, decision.by, step.limits) == ("tools", "tools", [])


@pytest.mark.parametrize(
    ("settings", "without"), [({"tools": "capability"}, ""), ({}, "tools")], ids=["setting", "gone"]
)
async def test_otherwise_the_text_decides_in_spite_of_tools(
    settings: dict[str, Any], without: str
) -> None:
    prompt = Prompt(CLEAR.text, has_tools=True)
    decision = await hybrid(**settings).decide(prompt, config(without=without), Book())
    assert decision.category == "code"


async def test_certain_keywords_ask_nobody() -> None:
    step = Scripted()
    decision = await hybrid(step).decide(CLEAR, config(), Book())
    assert (decision.category, decision.by, step.limits) == ("code", "keywords", [])


async def test_in_doubt_the_first_step_decides() -> None:
    first, second = Scripted(), Scripted("api", "code")
    decision = await hybrid(first, second).decide(doubt(), config(), Book())
    assert (decision.category, decision.by, decision.skipped) == ("reasoning", "ollama", ())
    assert second.limits == []


async def test_a_language_models_decision_says_what_was_thought_without_it() -> None:
    decision = await hybrid(Scripted()).decide(doubt(), config(), Book())
    assert decision.rule.endswith("; default alone: conversation")


async def test_the_next_step_decides_when_one_cannot() -> None:
    first, second = Scripted(answer=StepFault("HTTP 503")), Scripted("api", "code")
    classifier = hybrid(first, second)
    decision = await classifier.decide(doubt(), config(), Book())
    assert (decision.category, decision.by) == ("code", "api")
    assert decision.skipped == ("ollama: HTTP 503",)
    assert classifier.counters == {("ollama", "HTTP 503"): 1}


async def test_a_step_with_a_successor_leaves_it_time() -> None:
    first, second = Scripted(answer=StepFault("timeout")), Scripted("api")
    await hybrid(first, second, budget_ms=1000).decide(doubt(), config(), Book())
    assert 0.5 < first.limits[0] <= 0.6
    assert 0.9 < second.limits[0] <= 1.0


async def test_a_budget_that_is_used_up_asks_nobody() -> None:
    step = Scripted()
    decision = await hybrid(step, budget_ms=1).decide(doubt(), config(), Book())
    assert decision.skipped == ("ollama: no time left",)
    assert step.limits == []


async def test_the_best_guess_is_better_than_nothing() -> None:
    steps = Scripted(answer=StepFault("timeout")), Scripted("api", StepFault("wrong label"))
    prompt = Prompt("Define the thing")
    decision = await hybrid(*steps).decide(prompt, config(own("x", description="y")), Book())
    assert (decision.category, decision.by) == ("reasoning", "keywords")
    assert decision.skipped == ("ollama: timeout", "api: wrong label")


async def test_what_nothing_knows_is_the_default() -> None:
    decision = await hybrid(Scripted(answer=StepFault("timeout"))).decide(doubt(), config(), Book())
    assert (decision.category, decision.by) == ("conversation", "default")


async def test_a_mode_of_its_own_asks_the_step_even_when_keywords_are_certain() -> None:
    step = Scripted(answer="reasoning")
    decision = await hybrid(step, asks_first=True).decide(CLEAR, config(), Book())
    assert (decision.category, decision.by) == ("reasoning", "ollama")


async def test_a_mode_of_its_own_falls_back_to_keywords() -> None:
    step = Scripted(answer=StepFault("timeout"))
    decision = await hybrid(step, asks_first=True).decide(CLEAR, config(), Book())
    assert (decision.category, decision.by) == ("code", "keywords")


@pytest.mark.parametrize(
    "prompt",
    [Prompt(""), Prompt("### Task:\nname this", chore="a client's own task")],
    ids=["no text", "chore"],
)
async def test_nobody_is_asked_about_what_nobody_could_tell(prompt: Prompt) -> None:
    step = Scripted()
    await hybrid(step, asks_first=True).decide(prompt, config(), Book())
    assert step.limits == []


async def test_nobody_is_asked_when_there_is_one_category() -> None:
    step = Scripted()
    where = RoutingConfig(1, {"mine": own("mine")})
    decision = await hybrid(step).decide(doubt(), where, Book())
    assert (decision.category, step.limits) == ("mine", [])


async def test_a_category_without_keywords_makes_keywords_less_certain() -> None:
    """Only a language model can tell it from a built-in one."""
    prompt = Prompt("Explain what the contract says and why")
    step = Scripted(answer="legal")
    assert (await hybrid(step).decide(prompt, config(), Book())).by == "keywords"
    where = config(own("legal", description="contracts and law"))
    assert (await hybrid(step).decide(prompt, where, Book())).category == "legal"


async def test_certain_weights_ask_nobody() -> None:
    step = Scripted()
    decision = await hybrid(step, judge=Local()).decide(CLEAR, config(), Book())
    assert (decision.category, decision.by, step.limits) == ("code", "local", [])


async def test_weights_in_doubt_ask_the_first_step() -> None:
    step = Scripted()
    decision = await hybrid(step, judge=Local()).decide(
        Prompt("The apple and the candle, with a kettle"), config(), Book()
    )
    assert (decision.category, decision.by) == ("reasoning", "ollama")


async def test_the_weights_guess_is_better_than_nothing() -> None:
    step = Scripted(answer=StepFault("timeout"))
    decision = await hybrid(step, judge=Local(), asks_first=True).decide(CLEAR, config(), Book())
    assert (decision.category, decision.by, decision.skipped) == (
        "code",
        "local",
        ("ollama: timeout",),
    )


@pytest.mark.parametrize("asks_first", [False, True], ids=["hybrid", "a mode of its own"])
async def test_a_keyword_of_an_own_category_asks_nobody(asks_first: bool) -> None:
    step = Scripted()
    where = config(own("billing", "invoice"), own("legal", description="contracts"))
    classifier = hybrid(step, judge=Local(), asks_first=asks_first)
    decision = await classifier.decide(Prompt("Write me an invoice"), where, Book())
    assert (decision.category, decision.by, step.limits) == ("billing", "keywords", [])


# What is remembered


async def test_a_decision_is_remembered_by_text() -> None:
    step = Scripted()
    classifier = hybrid(step)
    first = await classifier.decide(doubt(), config(), Book())
    again = await classifier.decide(Prompt(doubt().text, has_history=True), config(), Book())
    assert again == first
    assert len(step.limits) == 1


@pytest.mark.parametrize(
    "other",
    [
        (doubt(1), config()),
        (Prompt(doubt().text, context="earlier"), config()),
        (doubt(), config(version=2)),
    ],
    ids=["text", "context", "configuration"],
)
async def test_another_question_is_asked_anew(other: tuple[Prompt, RoutingConfig]) -> None:
    step = Scripted()
    classifier = hybrid(step)
    await classifier.decide(doubt(), config(), Book())
    await classifier.decide(*other, Book())
    assert len(step.limits) == 2


async def test_a_guess_made_in_need_is_remembered_for_half_a_minute() -> None:
    clock = FakeClock()
    step = Scripted(answer=StepFault("timeout"))
    classifier = hybrid(step, clock=clock)
    for _ in range(3):
        assert (await classifier.decide(doubt(), config(), Book())).by == "default"
    assert len(step.limits) == 1
    step.answer = "code"
    clock.now += 30
    assert (await classifier.decide(doubt(), config(), Book())).category == "code"


async def test_a_tool_step_keeps_the_guess_of_its_user_turn() -> None:
    clock = FakeClock()
    step = Scripted(answer=StepFault("timeout"))
    classifier = hybrid(step, clock=clock)
    first = await classifier.decide(doubt(), config(), Book())
    step.answer = "code"
    clock.now += 60
    again = await classifier.decide(Prompt(doubt().text, is_step=True), config(), Book())
    assert again == first


async def test_half_a_surrogate_pair_can_be_remembered() -> None:
    await hybrid().decide(Prompt("\ud83d"), config(), Book())


# Steps that fail


async def test_a_dead_step_is_not_asked_after_the_third_failure() -> None:
    """F40"""
    clock = FakeClock()
    step = Scripted(answer=StepFault("unreachable"))
    classifier = hybrid(step, clock=clock)
    decisions = [await classifier.decide(doubt(n), config(), Book()) for n in range(6)]
    assert len(step.limits) == 3
    assert decisions[-1].skipped == ("ollama: resting",)
    assert classifier.status()["steps"] == {"ollama": "resting"}
    clock.now += REST_S
    step.answer = "code"
    assert (await classifier.decide(doubt(7), config(), Book())).category == "code"
    assert classifier.status()["steps"] == {"ollama": "ok"}


async def test_reasons_that_are_nobodys_fault_do_not_rest_a_step() -> None:
    step = Scripted(answer=StepFault("loading", is_failure=False))
    classifier = hybrid(step)
    for n in range(6):
        await classifier.decide(doubt(n), config(), Book())
    assert len(step.limits) == 6


async def test_a_mistake_in_a_step_does_not_fail_the_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    decision = await hybrid(Scripted(answer=KeyError("oops"))).decide(doubt(), config(), Book())
    assert decision.skipped == ("ollama: error",)
    assert "KeyError" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


async def test_a_client_that_leaves_during_the_try_lets_another_one_try() -> None:
    clock = FakeClock()
    step = Scripted(answer=StepFault("unreachable"))
    classifier = hybrid(step, clock=clock)
    for n in range(3):
        await classifier.decide(doubt(n), config(), Book())
    clock.now += REST_S
    step.waits = asyncio.Event()
    task = asyncio.ensure_future(classifier.decide(doubt(4), config(), Book()))
    await until(lambda: len(step.limits) == 4)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    step.waits, step.answer = None, "code"
    assert (await classifier.decide(doubt(5), config(), Book())).category == "code"


async def test_health_says_why_steps_were_skipped() -> None:
    classifier = hybrid(Scripted(answer=StepFault("HTTP 500")))
    for n in range(2):
        await classifier.decide(doubt(n), config(), Book())
    assert classifier.status() == {
        "mode": "hybrid",
        "steps": {"ollama": "ok"},
        "skipped": {"ollama: HTTP 500": 2},
    }


async def test_it_starts_and_closes_its_steps() -> None:
    step = Scripted()
    classifier = hybrid(step)
    await classifier.start()
    await classifier.close()
    assert step.events == ["started", "closed"]


_FAULTS: list[Callable[[], str | BaseException]] = [
    lambda: "code",
    lambda: StepFault("timeout"),
    lambda: StepFault("busy", is_failure=False),
    lambda: ValueError("oops"),
]


@given(st.text(), st.text(max_size=20), st.booleans(), st.sampled_from(_FAULTS))
def test_every_prompt_gets_an_existing_category(
    text: str, context: str, asks_first: bool, make: Callable[[], str | BaseException]
) -> None:
    """F43, T32: whatever breaks, whatever a prompt says."""
    where = config(own("mine", "tea"))
    classifier = hybrid(Scripted(answer=make()), asks_first=asks_first)
    logging.disable(logging.ERROR)
    try:
        prompt = Prompt(text, context=context)
        decision = asyncio.run(classifier.decide(prompt, where, Book()))
    finally:
        logging.disable(logging.NOTSET)
    assert decision.category in labels_of(where)
