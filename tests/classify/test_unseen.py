"""Prompts that nobody had looked at when they were scored: what a stranger may expect.

Two hands wrote them who knew neither the classifier nor what it learns from. They are worth
something for as long as nothing is learned from them: no weight, no word, no rule.
"""

from functools import cache
from pathlib import Path

import pytest

from llm_router.classify.base import Judge
from llm_router.classify.evaluation import Evaluation, Result, evaluate
from llm_router.classify.keywords import Keywords
from llm_router.classify.labelled import Labelled, read_labelled
from llm_router.classify.local import Local
from llm_router.classify.weights import CATEGORIES
from tests.classify.helpers import config
from tests.classify.test_examples import letters
from training.examples import own

FILE = Path(__file__).with_name("unseen.jsonl")
JUDGES: dict[str, Judge] = {"keywords": Keywords(), "local": Local()}


@cache
def prompts() -> list[Labelled]:
    return list(read_labelled(FILE.read_bytes().splitlines(), FILE.name, CATEGORIES))


@cache
def scores(judge: str) -> Evaluation:
    decide = JUDGES[judge].judge
    results = [Result(given, decide(given.prompt(), config()), 0.0) for given in prompts()]
    return evaluate(results, CATEGORIES)


@pytest.mark.parametrize(("judge", "least"), [("keywords", 0.88), ("local", 0.93)])
def test_they_are_judged_right(judge: str, least: float) -> None:
    assert scores(judge).macro_f1 >= least


@pytest.mark.parametrize(("judge", "least"), [("keywords", 0.85), ("local", 0.92)])
def test_no_category_is_recalled_less(judge: str, least: float) -> None:
    assert min(score.recall for score in scores(judge).classes.values()) >= least


@pytest.mark.parametrize(("judge", "least"), [("keywords", 0.83), ("local", 0.92)])
def test_no_language_is_judged_worse(judge: str, least: float) -> None:
    languages = scores(judge).languages
    assert set(languages) == {"en", "fr", "de", "es", "zh"}
    assert min(part.macro_f1 for part in languages.values()) >= least


def test_who_is_sure_is_right() -> None:
    error = scores("local").calibration_error
    assert error is not None
    assert error < 0.05


def test_none_of_them_was_learned_from() -> None:
    learned = {letters(example.line.text) for example in own()}
    assert {letters(given.text) for given in prompts()} & learned == set()
