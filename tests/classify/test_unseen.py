"""Prompts that nobody had looked at when they were scored: what a stranger may expect.

Their writers knew neither the classifier nor what it learns from. They are worth something for as
long as nothing is learned from them: no weight, no word, no rule. Of the hard ones every other
looks like another category than its own.
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

USUAL, HARD = "unseen.jsonl", "unseen_hard.jsonl"
JUDGES: dict[str, Judge] = {"keywords": Keywords(), "local": Local()}


@cache
def prompts(name: str) -> list[Labelled]:
    lines = Path(__file__).with_name(name).read_bytes().splitlines()
    return list(read_labelled(lines, name, CATEGORIES))


@cache
def scores(name: str, judge: str) -> Evaluation:
    decide = JUDGES[judge].judge
    results = [Result(given, decide(given.prompt(), config()), 0.0) for given in prompts(name)]
    return evaluate(results, CATEGORIES)


@pytest.mark.parametrize(
    ("name", "judge", "least"),
    [
        (USUAL, "keywords", 0.88),
        (USUAL, "local", 0.93),
        (HARD, "keywords", 0.67),
        (HARD, "local", 0.83),
    ],
)
def test_they_are_judged_right(name: str, judge: str, least: float) -> None:
    assert scores(name, judge).macro_f1 >= least


@pytest.mark.parametrize(
    ("name", "judge", "least"),
    [(USUAL, "keywords", 0.85), (USUAL, "local", 0.92), (HARD, "local", 0.79)],
)
def test_no_category_is_recalled_less(name: str, judge: str, least: float) -> None:
    assert min(score.recall for score in scores(name, judge).classes.values()) >= least


@pytest.mark.parametrize(("judge", "least"), [("keywords", 0.83), ("local", 0.92)])
def test_no_language_is_judged_worse(judge: str, least: float) -> None:
    languages = scores(USUAL, judge).languages
    assert set(languages) == {"en", "fr", "de", "es", "zh"}
    assert min(part.macro_f1 for part in languages.values()) >= least


@pytest.mark.parametrize("name", [USUAL, HARD])
def test_who_is_sure_is_right(name: str) -> None:
    error = scores(name, "local").calibration_error
    assert error is not None
    assert error < 0.05


@pytest.mark.parametrize("name", [USUAL, HARD])
def test_none_of_them_was_learned_from(name: str) -> None:
    learned = {letters(example.line.text) for example in own()}
    assert {letters(given.text) for given in prompts(name)} & learned == set()
