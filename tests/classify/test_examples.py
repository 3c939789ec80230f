"""Prompts written for the tests: five languages, all kinds, none of them learned from.

The floors are a little under what is reached, so that a change which costs accuracy is seen.
"""

from collections import Counter, defaultdict
from pathlib import Path

import msgspec
import pytest

from llm_router.classify.base import Judge
from llm_router.classify.keywords import Keywords
from llm_router.classify.local import Local
from llm_router.classify.text import peel
from tests.classify.helpers import config, raw
from training.examples import own


class Example(msgspec.Struct, frozen=True):
    lang: str
    label: str
    kind: str
    messages: list[dict[str, object]]


HERE = Path(__file__).parent
EXAMPLES = [
    msgspec.json.decode(line, type=Example)
    for line in (HERE / "examples.jsonl").read_bytes().splitlines()
]
FLOORS = {"keywords": (0.85, 0.75), "local": (0.96, 0.88)}  # over all; per language and category


def rights(judge: Judge) -> dict[tuple[str, str], list[bool]]:
    found: defaultdict[tuple[str, str], list[bool]] = defaultdict(list)
    for example in EXAMPLES:
        decision = judge.judge(peel(raw(example.messages)), config())
        found[example.lang, example.label].append(decision.category == example.label)
    return found


def test_there_are_examples_of_every_category_in_five_languages() -> None:
    counts = Counter((example.lang, example.label) for example in EXAMPLES)
    assert len(EXAMPLES) >= 400
    assert {lang for lang, _ in counts} == {"en", "fr", "de", "es", "zh"}
    assert len(counts) == 15
    assert min(counts.values()) >= 20
    assert {e.kind for e in EXAMPLES} >= {"paste", "openclaw", "task", "follow-up", "one-word"}


@pytest.mark.parametrize("judge", [Keywords(), Local()], ids=lambda judge: judge.name)
def test_no_language_and_no_category_falls_below_its_floor(judge: Judge) -> None:
    found = rights(judge)
    over_all, of_each = FLOORS[judge.name]
    every = [right for part in found.values() for right in part]
    assert sum(every) / len(every) >= over_all
    shares = {where: sum(part) / len(part) for where, part in found.items()}
    assert {where: share for where, share in shares.items() if share < of_each} == {}


def test_none_of_them_was_learned_from() -> None:
    learned = {letters(example.line.text) for example in own()}
    assert {letters(str(e.messages[-1].get("content"))) for e in EXAMPLES} & learned == set()


def letters(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())
