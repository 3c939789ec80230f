from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router.classify.base import Decision, Prompt
from llm_router.classify.labels import labels_of
from llm_router.classify.local import Local
from llm_router.classify.weights import Weights, weights
from llm_router.routing.config import Category, RoutingConfig
from tests.classify.helpers import config, own


def judge(text: str, where: RoutingConfig | None = None, context: str = "") -> Decision:
    return Local().judge(Prompt(text, context=context), where or config())


def test_the_decision_says_what_spoke_loudest_for_it() -> None:
    decision = judge("Write a python function that adds two numbers")
    assert (decision.category, decision.by) == ("code", "local")
    assert decision.rule.startswith("local: ")
    assert "'python'" in decision.rule
    assert decision.confidence is not None
    assert decision.confidence > 0.95
    assert {name for name, _ in decision.runners_up} == {"reasoning", "conversation"}


def test_of_how_many_words_there_are_only_the_loudest_is_said() -> None:
    """The rule used to name "words >= 2" beside "words >= 3"."""
    decision = judge("Why is the sky blue?")
    assert decision.rule.count("words >= ") == 1


def test_keywords_of_a_users_are_found_with_accents_written_apart() -> None:
    where = config(own("drinks", "café"))
    assert judge("un cafe\u0301 noir", where).category == "drinks"


def test_its_weights_are_read_when_it_is_warmed_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[Weights] = []

    def reading() -> Weights:
        read.append(weights())
        return read[-1]

    monkeypatch.setattr("llm_router.classify.local.weights", reading)
    local = Local()
    assert not read
    local.warm()
    local.judge(Prompt("Write a python function"), config())
    assert len(read) == 1


def test_what_shows_nothing_known_is_the_default() -> None:
    decision = judge("lorem ipsum amet aliqua consectetur adipiscing elit nostrud eiusmod")
    assert (decision.category, decision.by) == ("conversation", "default")
    assert decision.confidence is None


@pytest.mark.parametrize("text", ["", " \n\t "], ids=["empty", "blank"])
def test_no_text_is_the_default(text: str) -> None:
    assert (judge(text).category, judge(text).by) == ("conversation", "default")


def test_a_clients_own_chore_is_the_cheap_chain() -> None:
    prompt = Prompt("### Task:\nwrite python code", chore="a chat client's own task")
    decision = Local().judge(prompt, config())
    assert (decision.category, decision.rule) == ("conversation", "a chat client's own task")


@pytest.mark.parametrize(
    ("before", "category"),
    [
        ("Write a python function that sorts a list", "code"),
        ("Explain why the sky is blue and compare it with Mars", "reasoning"),
        ("Tell me a bedtime story about a dragon", "conversation"),
    ],
)
@pytest.mark.parametrize("follow_up", ["shorter", "und jetzt kürzer", "再来一个"])
def test_a_follow_up_belongs_to_the_turn_before(before: str, category: str, follow_up: str) -> None:
    assert judge(follow_up, context=before).category == category


def test_a_new_question_does_not_lean_on_the_turn_before() -> None:
    before = "Write a python function that sorts a list"
    assert judge("Who wrote Faust?", context=before).category == "conversation"
    assert judge("Thank you so much, good night!", context=before).category == "conversation"


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_long_paste_does_not_drown_what_is_asked(place: str) -> None:
    log = "\n".join(f"2026-01-01 10:00:{n % 60:02} ERROR worker {n}: timeout" for n in range(900))
    asked = "What does this stack trace mean and how do I fix the bug in my code?"
    text = f"{asked}\n\n{log}" if place == "before" else f"{log}\n\n{asked}"
    assert judge(text).category == "code"


# Categories of the user's own


def test_a_keyword_of_an_own_category_decides() -> None:
    where = config(own("billing", "invoice"))
    decision = judge("Write a python function that prints invoices", where)
    assert (decision.category, decision.by, decision.rule) == (
        "billing",
        "keywords",
        "keywords: 'invoices'",
    )


def test_name_and_description_speak_for_an_own_category() -> None:
    where = config(own("legal", description="Contracts, leases and tenancy law"))
    decision = judge("my landlord wants to change the lease contract", where)
    assert (decision.category, decision.rule) == ("legal", "local: its name and description")
    assert judge("Write a python function", where).category == "code"
    assert judge("good morning, how are you?", where).category == "conversation"


def test_words_that_say_nothing_are_no_hints() -> None:
    where = config(own("mine", description="questions about anything that users ask"))
    assert judge("Why do users ask questions about anything?", where).category == "reasoning"


def test_keywords_given_to_a_built_in_category_add_to_it() -> None:
    text = "tell me of the frobnicator and the quux"
    assert judge(text).category != "code"
    where = config(Category("code", ("a/b",), ("frobnicator", "quux")))
    assert judge(text, where).category == "code"


def test_a_category_that_was_removed_is_never_answered() -> None:
    for gone in ("code", "reasoning", "conversation"):
        where = config(without=gone)
        for text in ("Write a python function", "Why is the sky blue?", "hello there"):
            assert judge(text, where).category in labels_of(where)


def test_without_a_learned_category_an_existing_one_is_answered() -> None:
    where = RoutingConfig(1, {"mine": own("mine", "tea")})
    assert judge("Write a python function", where).category == "mine"


def test_it_knows_whether_some_category_cannot_be_seen() -> None:
    local = Local()
    assert local.sees_all(config(own("a", "tea")))
    assert not local.sees_all(config(own("b", description="legal questions"), version=2))


@given(st.text(), st.text(max_size=20))
def test_any_text_gets_a_category_and_an_honest_sum(text: str, context: str) -> None:
    """F43, T32: whatever a prompt says."""
    where = config(own("legal", description="contracts and law"))
    decision = Local().judge(Prompt(text, context=context), where)
    assert decision.category in labels_of(where)
    if decision.by == "local":
        shares = [decision.confidence or 0, *(share for _, share in decision.runners_up)]
        assert sum(shares) == pytest.approx(1, abs=0.01)
        assert all(more >= less for more, less in pairwise(shares))


@pytest.mark.parametrize("text", ["Write a function", "为什么", "hola"])
def test_the_same_text_gets_the_same_decision(text: str) -> None:
    assert judge(text) == judge(text)
