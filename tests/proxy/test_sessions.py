import json
from dataclasses import replace

import pytest

from llm_router.classify.base import Decision
from llm_router.ledger.entry import SessionKept
from llm_router.proxy.body import parse_body
from llm_router.proxy.conversation import PREFIX
from llm_router.proxy.sessions import IDLE_S, Held, Session, Sessions, in_session, session_of
from llm_router.routing.config import Category
from llm_router.routing.defaults import default_config
from tests.fakes.clock import Clock

GLM, MINI = "z-ai/glm-5", "openai/gpt-4o-mini"
CONFIG = default_config()
CODE = Decision("code", "keywords", 0.9, "a rule", (("reasoning", 0.1),))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journaled() -> list[SessionKept]:
    return []


@pytest.fixture
def table(clock: Clock, journaled: list[SessionKept]) -> Sessions:
    return Sessions(clock, journaled.append)


def session(table: Sessions, name: str = "s", client: str | None = "laptop") -> Session:
    return Session(table, client, name, is_guessed=False)


def held(category: str, confidence: float | None = 0.9) -> Held:
    return Held(category, "keywords", confidence, GLM, 0, 1e9)


# What is remembered


def test_a_session_keeps_what_answered_it(table: Sessions) -> None:
    assert session(table).held(CONFIG, is_new=False) is None
    session(table).keep(CODE, GLM)
    found = session(table).held(CONFIG, is_new=False)
    assert found is not None
    assert (found.category, found.by, found.model) == ("code", "keywords", GLM)


def test_two_clients_may_choose_the_same_name(table: Sessions) -> None:
    session(table).keep(CODE, GLM)
    assert session(table, client="phone").held(CONFIG, is_new=False) is None
    assert session(table, client=None).held(CONFIG, is_new=False) is None


def test_a_session_ends_an_hour_after_its_last_answer(table: Sessions, clock: Clock) -> None:
    for _ in range(3):
        session(table).keep(CODE, GLM)
        clock.pass_s(IDLE_S - 1)
        assert session(table).held(CONFIG, is_new=False)
    clock.pass_s(1)
    assert session(table).held(CONFIG, is_new=False) is None


def test_the_table_is_bounded(clock: Clock) -> None:
    """T23"""
    table = Sessions(clock, lambda kept: None, kept=2)
    for name in ("a", "b", "a", "c"):
        session(table, name).keep(CODE, GLM)
    kept = [name for name in "abc" if session(table, name).held(CONFIG, is_new=False)]
    assert kept == ["a", "c"]


def test_what_is_kept_is_journaled(
    table: Sessions, clock: Clock, journaled: list[SessionKept]
) -> None:
    session(table).keep(CODE, GLM)
    session(table, client=None).keep(CODE, MINI)
    assert journaled == [
        SessionKept("s", "laptop", clock.wall(), "code", "keywords", 0.9, GLM),
        SessionKept("s", "", clock.wall(), "code", "keywords", 0.9, MINI),
    ]


def test_what_others_kept_is_followed_unless_it_is_older(
    table: Sessions, clock: Clock, journaled: list[SessionKept]
) -> None:
    now = clock.wall()

    def kept(at: float, model: str) -> list[SessionKept]:
        return [SessionKept("s", "laptop", at, "code", "local", 0.9, model)]

    def model() -> str | None:
        found = session(table).held(CONFIG, is_new=False)
        return None if found is None else found.model

    table.follow(kept(now - 10, GLM))
    assert model() == GLM
    table.follow(kept(now - 20, MINI))
    assert model() == GLM
    table.follow(kept(now - 5, MINI))
    assert model() == MINI
    session(table).keep(CODE, GLM)
    table.follow(kept(now - 1, MINI))
    assert model() == GLM
    assert len(journaled) == 1, "what was read is not written again"


def test_what_is_followed_ends_when_it_would_have_ended(table: Sessions, clock: Clock) -> None:
    entry = SessionKept("s", "laptop", clock.wall() - IDLE_S + 10, "code", "local", 0.9, GLM)
    table.follow([entry])
    clock.pass_s(9)
    assert session(table).held(CONFIG, is_new=False)
    clock.pass_s(1)
    assert session(table).held(CONFIG, is_new=False) is None


def test_what_the_configuration_no_longer_has_is_not_held(table: Sessions) -> None:
    session(table).keep(CODE, GLM)
    without = replace(CONFIG, categories={"conversation": CONFIG.categories["conversation"]})
    assert session(table).held(without, is_new=False) is None
    other = {**CONFIG.categories, "code": Category("code", ("gpt-4o-mini",))}
    assert session(table).held(replace(CONFIG, categories=other), is_new=False) is None


def test_a_guessed_session_is_not_held_where_a_conversation_begins(table: Sessions) -> None:
    """Another one may have begun with the same "Hi"."""
    guessed = Session(table, None, PREFIX + "0", is_guessed=True)
    guessed.keep(CODE, GLM)
    assert guessed.held(CONFIG, is_new=True) is None
    assert guessed.held(CONFIG, is_new=False)
    named = session(table)
    named.keep(CODE, GLM)
    assert named.held(CONFIG, is_new=True)


def test_a_session_is_named_by_the_client_or_by_its_beginning(table: Sessions) -> None:
    raw = json.dumps({"messages": [{"role": "user", "content": "Hi"}]}).encode()
    named = session_of(table, parse_body(raw, "mine"), "laptop")
    assert named is not None
    assert (named.name, named.is_guessed, named.client_key) == ("mine", False, "laptop")
    guessed = session_of(table, parse_body(raw), None)
    assert guessed is not None
    assert guessed.is_guessed
    assert guessed.name.startswith(PREFIX)
    assert session_of(None, parse_body(raw, "mine"), None) is None
    assert session_of(table, parse_body(b'{"messages":[1]}'), None) is None


# Who prevails


def test_the_same_category_keeps_the_model() -> None:
    kept = in_session(CODE, held("code"))
    assert kept is not None
    assert (kept.category, kept.by, kept.confidence) == ("code", "keywords", 0.9)
    assert kept.rule == f"a rule; the session keeps {GLM}"


@pytest.mark.parametrize(
    ("decision", "has"),
    [
        (Decision("conversation", "local", 0.99), "code"),
        (Decision("conversation", "default", 0.3), "reasoning"),
        (Decision("reasoning", "local", 0.99), "code"),
        (Decision("code", "local", 0.6), "conversation"),
        (Decision("code", "local", 0.99), "legal"),
        (Decision("code", "local", 0.99), "tools"),
    ],
    ids=["small talk", "no idea", "weaker", "in doubt", "the user's own", "tools"],
)
def test_the_session_prevails(decision: Decision, has: str) -> None:
    kept = in_session(decision, held(has))
    assert kept is not None
    assert kept.category == has
    assert kept.rule.startswith(f"the session keeps {GLM}; this turn alone: {decision.category}")
    assert kept.runners_up[0] == (decision.category, decision.confidence)


@pytest.mark.parametrize(
    ("decision", "has"),
    [
        (Decision("code", "local", 0.9), "conversation"),
        (Decision("code", "ollama"), "reasoning"),
        (Decision("reasoning", "local", 0.7), "conversation"),
        (Decision("legal", "keywords", 0.9), "code"),
        (Decision("legal", "keywords", 0.9), "medical"),
        (Decision("tools", "tools"), "code"),
    ],
    ids=["code", "a model says so", "reasoning", "the user's own", "another of theirs", "tools"],
)
def test_a_stronger_category_prevails(decision: Decision, has: str) -> None:
    assert in_session(decision, held(has)) is None


def test_what_the_session_has_does_not_come_second_to_itself() -> None:
    turn = Decision("conversation", "local", 0.6, "r", (("code", 0.3), ("reasoning", 0.1)))
    kept = in_session(turn, held("code"))
    assert kept is not None
    assert kept.runners_up == (("conversation", 0.6), ("reasoning", 0.1))
