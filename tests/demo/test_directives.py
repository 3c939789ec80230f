import pytest

from llm_router.demo import directives
from llm_router.demo.behaviour import HEADERS, Behaviour


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("[[demo fail=a/b:503]]", Behaviour("a/b", status=503), id="status"),
        pytest.param("[[demo fail=a/b:free:503]]", Behaviour("a/b:free", status=503), id="variant"),
        pytest.param(
            "please [[demo fail=*:429 retry_after=7]] now",
            Behaviour("*", status=429, retry_after="7"),
            id="retry after, inside a sentence",
        ),
        pytest.param("[[demo break_after=5]]", Behaviour(drop=5), id="break"),
        pytest.param("[[demo stall=headers]]", Behaviour(stall=HEADERS), id="headers"),
        pytest.param("[[demo crlf no_done]]", Behaviour(crlf=True, no_done=True), id="switches"),
        pytest.param('[[demo message="two words"]]', Behaviour(message="two words"), id="quoted"),
        pytest.param("[[demo usage=absent]]", Behaviour(usage="absent"), id="choice"),
        pytest.param("[[demo ]]", Behaviour(), id="empty"),
    ],
)
def test_a_directive_reads_as_a_behaviour(text: str, expected: Behaviour) -> None:
    assert directives.parse(text) == (expected,)


def test_several_directives_keep_their_order() -> None:
    text = "[[demo fail=a:500]] and [[demo fail=b:502]]"
    assert [told.status for told in directives.parse(text)] == [500, 502]


def test_a_prompt_without_directive_asks_for_nothing() -> None:
    assert directives.parse("What does [[this]] do in a demo?") == ()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("frobnicate=1", "unknown word 'frobnicate'; there are after,"),
        ("stall", "'stall' needs a value"),
        ("html=yes", "'html' takes no value"),
        ("stall=-2", "expected a number"),
        ("fail=glm-5", "expected MODEL:STATUS"),
        ("status=700", "expected an HTTP status"),
        ("usage=odd", "expected one of repeat,"),
        ("?!", r"cannot read '\?!'"),
    ],
)
def test_an_odd_directive_says_what_is_allowed(words: str, complaint: str) -> None:
    with pytest.raises(directives.DirectiveError, match=complaint):
        directives.parse(f"[[demo {words}]]")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chunks=100 gap=20 write code", (100, 20)),
        ("chunks=3", (3, None)),
        ("hello", None),
        ("chunks=many", None),
    ],
)
def test_load_generators_set_length_and_pace(
    text: str, expected: tuple[int, int | None] | None
) -> None:
    assert directives.load(text) == expected


def test_a_prompt_can_be_quoted_without_its_directives() -> None:
    assert directives.without("why? [[demo fail=*:503]]") == "why?"


@pytest.mark.parametrize(
    ("name", "model", "applies"),
    [
        ("*", "z-ai/glm-5", True),
        ("z-ai/glm-5", "z-ai/glm-5", True),
        ("glm-5", "z-ai/glm-5", True),
        ("a,glm-5", "z-ai/glm-5", True),
        ("m-5", "z-ai/glm-5", False),
        ("z-ai/glm-5", "z-ai/glm-5:free", False),
    ],
)
def test_a_behaviour_applies_by_id_short_name_or_wildcard(
    name: str, model: str, applies: bool
) -> None:
    assert Behaviour(model=name).applies_to(model) is applies
