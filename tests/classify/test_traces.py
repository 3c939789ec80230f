import pytest

from llm_router.classify.traces import traces
from llm_router.classify.vocabulary import tokens


@pytest.mark.parametrize(
    ("text", "looked_up"),
    [
        ("tea", {"tea", "^tea"}),
        ("could you please make tea now", {"^make", "^make tea", "^make tea now", "could", "make"}),
        ("recommending", {"recommending", "recom"}),
        ("please", {"^please"}),
        ("用react做", {"用", "react", "做", "^用 react 做"}),
        ("什么意思", {"什", "什么", "么意", "意思", "^什么意思"}),
        ("", set()),
    ],
)
def test_words_are_looked_up_in_several_ways(text: str, looked_up: set[str]) -> None:
    assert looked_up <= traces(tokens(text))


@pytest.mark.parametrize("word", ["tea", "été", "ночь", "सत्य", "nước"])
def test_only_scripts_without_spaces_are_taken_apart(word: str) -> None:
    assert traces([word]) == {word, f"^{word}"}


def test_of_a_long_text_without_spaces_the_beginning_is_taken_apart() -> None:
    assert "尾" not in traces(["天" * 1000, "地尾地"])
