import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router.classify.vocabulary import Vocabulary, tokens


def hits(
    text: str, anywhere: dict[str, int], openings: dict[str, int] | None = None
) -> dict[int, list[str]]:
    lower = text.lower()
    words = Vocabulary(anywhere.items(), (openings or {}).items())
    return dict(words.hits(lower, tokens(lower)))


# Below the first script without spaces, whose blocks also have marks and gaps.
@given(st.text(st.characters(max_codepoint=0xDFF)) | st.text("ab1_ .,-+#\n\x1c\0é"))
def test_words_are_letters_digits_and_underscores(text: str) -> None:
    lower = text.lower()
    assert "".join(tokens(lower)) == "".join(re.findall(r"\w+(?:\+\+|#)?", lower))


def test_scripts_without_spaces_are_words_of_their_own() -> None:
    assert tokens("react怎么写c++代码 with 파이썬3") == [
        *("react", "怎么写", "c++", "代码", "with", "파이썬", "3"),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("good", {}),
        ("good morning", {1: ["good morning"]}),
        ("good good morning", {1: ["good morning"]}),
        ("a good morning to you", {1: ["good morning"], 2: ["good morning to you"]}),
        ("good, morning", {1: ["good morning"]}),
        ("good morning to", {1: ["good morning"]}),
        ("morning to you", {}),
    ],
)
def test_a_phrase_is_found_as_a_whole_with_those_inside_it(
    text: str, found: dict[int, list[str]]
) -> None:
    assert hits(text, {"good morning": 1, "good morning to you": 2}) == found


def test_one_word_may_speak_for_several() -> None:
    words = Vocabulary([("class", 1), ("class", 2), ("class action", 3)])
    text = "a class action"
    assert dict(words.hits(text, tokens(text))) == {
        1: ["class"],
        2: ["class"],
        3: ["class action"],
    }


def test_a_stem_yields_to_a_word_of_its_own() -> None:
    entries = {"compil*": 1, "compiler": 2, "compiling fast": 3}
    assert hits("compilers", entries) == {1: ["compilers"]}
    assert hits("compiler", entries) == {2: ["compiler"]}
    assert hits("compiling", entries) == {1: ["compiling"]}
    assert hits("compi", entries) == {}


@pytest.mark.parametrize(
    ("text", "is_opening"),
    [
        ("why", True),
        ("Hi, could you please help me why", False),
        ("Hi, could you tell why", False),
        ("Hi, could you just please why", True),
        ("Why not", True),
        ("I know why", False),
    ],
)
def test_an_opening_stands_first_or_after_words_of_courtesy(text: str, is_opening: bool) -> None:
    assert hits(text, {}, {"why": 1}) == ({1: ["why"]} if is_opening else {})


def test_an_opening_may_reach_beyond_the_words_of_courtesy() -> None:
    text = "hi could you just please how to"
    assert hits(text, {}, {"how to": 1}) == {1: ["how to"]}


def test_scripts_without_spaces_are_searched_in_the_text() -> None:
    entries = {"代码": 1, "代码库": 2, "コード": 1}
    assert hits("请写代码 代码库", entries) == {1: ["代码"], 2: ["代码库"]}
    assert hits("code", entries) == {}
