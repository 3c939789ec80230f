import pytest

from llm_router.classify.features import features, length_of
from llm_router.classify.text import clip
from llm_router.classify.vocabulary import tokens
from llm_router.classify.words import builtin_words


def seen(text: str) -> set[str]:
    lower = text.lower()
    words = tokens(lower)
    hits = builtin_words().hits(lower, words)
    return set(features(text, words, hits, length_of(text, words)))


@pytest.mark.parametrize(
    ("feature", "shown", "not_shown"),
    [
        ("why", "why not", "I know why"),
        ("programming languages", "in python", "in a dream"),
        ("programming languages, two", "python and rust", "python, python"),
        ("programming languages, three", "python, rust, perl and php", "python and rust"),
        ("a question", "so?", "so"),
        ("words >= 5", "a b c d e", "a b c d"),
        ("words >= 5", "天空为什么是蓝色的呢", "天空"),
        ("many numbers for its length", "1 + 2", "one of my 2 cats sleeps on the warm roof today"),
        ("a number in words", "seven cats", "some cats"),
        ("numbers in words", "siete gatos y dos perros", "siete gatos"),
        ("how many, without a number", "how many cats are there", "how many cats have 3 legs"),
        ("asks", "is it? yes", "it is"),
        ("asks with numbers", "1 or 2?", "1?"),
        ("asks, then goes on", "is it? yes", "it is?"),
        ("no mark at its end", "hello", "hello."),
        ("lines >= 5", "a\nb\nc\nd\ne\nf", "a\nb"),
        ("begins in lower case", " yes", "Yes"),
        ("a quotation", "« oui »", "oui"),
        ("no known word", "lorem ipsum", "hello ipsum"),
    ],
)
def test_a_feature_is_told_from_what_looks_like_it(
    feature: str, shown: str, not_shown: str
) -> None:
    assert feature in seen(shown)
    assert feature not in seen(not_shown)


@pytest.mark.parametrize(
    "unit", ["a ", "1 ", "why ", "为什么", "你是谁", "\n", "?", '"', "write a ", "aA", "é", "c++ "]
)
def test_a_long_text_costs_what_its_clipped_ends_cost(unit: str) -> None:
    """Anything worse than linear in the text would hang here."""
    assert seen(clip(unit * (2_000_000 // len(unit))))
