import json

import pytest

from llm_router.classify.base import By, Decision
from llm_router.classify.evaluation import Result, evaluate
from llm_router.classify.labelled import Labelled

LABELS = ("code", "reasoning", "conversation")


def result(
    label: str,
    category: str,
    confidence: float | None = None,
    *,
    by: By = "keywords",
    ms: float = 1.0,
    lang: str | None = None,
    skipped: tuple[str, ...] = (),
) -> Result:
    decision = Decision(category, by, confidence, skipped=skipped)
    return Result(Labelled("text", label, b"[]", lang), decision, ms)


SOME = [
    result("code", "code"),
    result("code", "code"),
    result("code", "reasoning"),
    result("reasoning", "reasoning"),
    result("conversation", "code"),
]


def test_each_class_has_precision_and_recall() -> None:
    code = evaluate(SOME, LABELS).classes["code"]
    assert (code.support, code.predicted) == (3, 3)
    assert (code.precision, code.recall, code.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    conversation = evaluate(SOME, LABELS).classes["conversation"]
    assert (conversation.precision, conversation.recall, conversation.f1) == (0, 0, 0)


def test_macro_f1_counts_each_class_alike() -> None:
    scores = evaluate(SOME, LABELS)
    assert scores.accuracy == 0.6
    assert scores.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)


def test_a_class_that_does_not_occur_is_not_held_against_the_mean() -> None:
    scores = evaluate([result("code", "code"), result("reasoning", "reasoning")], LABELS)
    assert scores.macro_f1 == 1
    assert scores.classes["conversation"].support == 0


def test_the_confusion_says_what_was_taken_for_what() -> None:
    assert evaluate(SOME, LABELS).confusion == {
        "code": {"code": 2, "reasoning": 1, "conversation": 0},
        "reasoning": {"code": 0, "reasoning": 1, "conversation": 0},
        "conversation": {"code": 1, "reasoning": 0, "conversation": 0},
    }


def test_confidence_is_compared_with_accuracy_band_by_band() -> None:
    scores = evaluate(
        [
            result("code", "code", 0.85),
            result("code", "reasoning", 0.83),
            result("code", "code", 1.0),
            result("code", "code", 0.0),
            result("code", "code"),
        ],
        LABELS,
    )
    assert [(b.low, b.high, b.prompts, b.accuracy) for b in scores.bands] == [
        (0.0, 0.1, 1, 1.0),
        (0.8, 0.9, 2, 0.5),
        (0.99, 1.0, 1, 1.0),
    ]
    assert scores.calibration_error == pytest.approx((1 * 1.0 + 2 * 0.34 + 0) / 4)


def test_without_confidence_there_is_no_calibration() -> None:
    scores = evaluate(SOME, LABELS)
    assert (scores.bands, scores.calibration_error) == ([], None)
    assert scores.as_json()["calibration"] == {"error": None, "bands": []}


def test_percentiles_are_times_that_so_many_did_not_exceed() -> None:
    results = [result("code", "code", ms=float(ms)) for ms in range(1, 101)]
    assert evaluate(results, LABELS).latency_ms == {
        "mean": 50.5,
        "p50": 50,
        "p90": 90,
        "p95": 95,
        "p99": 99,
        "max": 100,
    }


def test_one_prompt_is_every_percentile() -> None:
    assert set(evaluate([result("code", "code", ms=3)], LABELS).latency_ms.values()) == {3}


def test_the_result_is_divided_by_language_and_by_what_decided() -> None:
    scores = evaluate(
        [
            result("code", "code", lang="fr"),
            result("code", "reasoning", lang="fr", by="ollama"),
            result("code", "code", lang="en", skipped=("ollama: timeout",)),
            result("code", "code"),
        ],
        LABELS,
    )
    assert {name: (p.prompts, p.accuracy) for name, p in scores.languages.items()} == {
        "fr": (2, 0.5),
        "en": (1, 1.0),
    }
    assert {name: p.prompts for name, p in scores.decided_by.items()} == {
        "keywords": 3,
        "ollama": 1,
    }
    assert scores.sources == {}
    assert scores.skipped == {"ollama: timeout": 1}


def test_json_has_everything_and_the_share_sent_to_each_category() -> None:
    shown = json.loads(json.dumps(evaluate(SOME, LABELS).as_json()))
    assert shown["classes"]["reasoning"]["share"] == 0.4
    assert sum(score["share"] for score in shown["classes"].values()) == pytest.approx(1)
    assert shown.keys() == {
        "prompts",
        "accuracy",
        "macro_f1",
        "classes",
        "confusion",
        "calibration",
        "latency_ms",
        "decided_by",
        "skipped",
        "by_lang",
        "by_source",
    }
