import json
from typing import Any, cast

import pytest

from llm_router.classify.base import CallBook, Classifier, Decision, Prompt
from llm_router.errors import InvalidRequest, ModelNotFound, UnknownCategory
from llm_router.proxy.body import parse_body
from llm_router.proxy.plan import Plan, make_plan
from llm_router.proxy.sessions import Session, Sessions
from llm_router.routing.catalog import Catalog, read_models
from llm_router.routing.chain import GONE
from llm_router.routing.config import RoutingConfig
from llm_router.routing.defaults import default_config
from llm_router.settings import ClassifierSettings, ModelSettings, Settings
from tests.fakes.clock import Clock

TOOLS = [{"type": "function", "function": {"name": "f"}}]
CATALOG = Catalog(
    read_models(
        {
            "data": [
                {"id": "z-ai/glm-5", "supported_parameters": ["temperature"]},
                {"id": "moonshotai/kimi-k2.5", "supported_parameters": ["tools"]},
                {"id": "openai/gpt-4o-mini", "supported_parameters": ["tools"]},
            ]
        }
    )
)
BOOK = cast(CallBook, object())


class FakeClassifier:
    """Decides on `reasoning`, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Prompt, RoutingConfig, CallBook]] = []

    async def decide(self, prompt: Prompt, config: RoutingConfig, book: CallBook) -> Decision:
        self.asked.append((prompt, config, book))
        return Decision("reasoning", "keywords", 0.8)


@pytest.fixture
def classifier() -> FakeClassifier:
    return FakeClassifier()


async def plan(
    classifier: FakeClassifier,
    text: str = "Why is the sky blue?",
    forced: str | None = None,
    settings: Settings | None = None,
    catalog: Catalog = CATALOG,
    session: Session | None = None,
    **body: Any,
) -> Plan:
    body = {"messages": [{"role": "user", "content": text}], **body}
    return await make_plan(
        parse_body(json.dumps(body).encode()),
        forced,
        settings=settings or Settings(),
        config=default_config(),
        catalog=catalog,
        classifier=cast(Classifier, classifier),
        book=BOOK,
        session=session,
    )


def models(plan: Plan) -> list[str]:
    return [candidate.model for candidate in plan.chain]


async def test_the_classifier_decides_and_the_categorys_chain_follows(
    classifier: FakeClassifier,
) -> None:
    made = await plan(classifier)
    assert made.decision == Decision("reasoning", "keywords", 0.8)
    assert models(made) == ["openrouter/aurora-alpha", "z-ai/glm-5", "moonshotai/kimi-k2.5"]
    [(prompt, config, book)] = classifier.asked
    assert prompt.text == "Why is the sky blue?"
    assert config.version == 0
    assert book is BOOK


async def test_a_forced_category_asks_no_classifier(classifier: FakeClassifier) -> None:
    for made in (
        await plan(classifier, forced="code"),
        await plan(classifier, model="router/code"),
        await plan(classifier, forced="code", model="openai/gpt-4o-mini", tools=TOOLS),
    ):
        assert (made.decision.category, made.decision.by) == ("code", "forced")
        assert models(made)[0] == "z-ai/glm-5"
    assert classifier.asked == []


async def test_an_unknown_forced_category_is_refused(classifier: FakeClassifier) -> None:
    with pytest.raises(UnknownCategory):
        await plan(classifier, forced="cod")


@pytest.mark.parametrize("name", ["gpt-4o-mini", "openai/gpt-4o-mini"])
async def test_a_named_model_is_a_chain_of_its_own(classifier: FakeClassifier, name: str) -> None:
    made = await plan(classifier, model=name, tools=TOOLS)
    assert (made.decision.category, made.decision.by) == ("direct", "direct")
    assert made.decision.rule == "the client named openai/gpt-4o-mini"
    assert models(made) == ["openai/gpt-4o-mini"]
    assert classifier.asked == []


async def test_a_named_model_that_is_gone_is_tried_and_a_configured_one_is_not(
    classifier: FakeClassifier,
) -> None:
    """F14"""
    [named] = (await plan(classifier, model="aurora-alpha")).chain
    assert named.left_out is None
    configured = (await plan(classifier)).chain[0]
    assert (configured.model, configured.left_out) == ("openrouter/aurora-alpha", GONE)


async def test_naming_models_can_be_forbidden(classifier: FakeClassifier) -> None:
    forbidding = Settings(models=ModelSettings(direct=False))
    with pytest.raises(ModelNotFound):
        await plan(classifier, settings=forbidding, model="gpt-4o-mini")


async def test_tools_are_a_category_of_their_own_by_default(classifier: FakeClassifier) -> None:
    made = await plan(classifier, tools=TOOLS)
    assert (made.decision.category, made.decision.by) == ("tools", "tools")
    assert [c.left_out for c in made.chain] == [GONE, None, "tools"]
    assert classifier.asked == []


async def test_as_a_capability_tools_only_narrow_the_chain(classifier: FakeClassifier) -> None:
    settings = Settings(classifier=ClassifierSettings(tools="capability"))
    made = await plan(classifier, settings=settings, tools=TOOLS)
    assert made.decision.category == "reasoning"
    assert [(c.model, c.left_out) for c in made.chain[1:]] == [
        ("z-ai/glm-5", "tools"),
        ("moonshotai/kimi-k2.5", None),
    ]
    assert classifier.asked[0][0].has_tools


async def test_a_message_that_can_be_read_in_two_ways_is_not_classified(
    classifier: FakeClassifier,
) -> None:
    """F58"""
    twice = b'{"messages":[{"role":"user","content":"a","content":"b"}]}'
    with pytest.raises(InvalidRequest):
        await make_plan(
            parse_body(twice),
            None,
            settings=Settings(),
            config=default_config(),
            catalog=CATALOG,
            classifier=cast(Classifier, classifier),
            book=BOOK,
        )


# Sessions


def in_session(name: str = "s") -> Session:
    return Session(Sessions(Clock(), lambda kept: None), None, name, is_guessed=False)


async def test_a_session_keeps_category_and_model(classifier: FakeClassifier) -> None:
    session = in_session()
    session.keep(Decision("code", "local", 0.9), "openai/gpt-4o-mini")
    made = await plan(classifier, session=session)
    assert (made.decision.category, made.decision.by) == ("code", "local")
    assert models(made) == ["openai/gpt-4o-mini", "z-ai/glm-5", "openrouter/aurora-alpha"]
    assert made.judged == Decision("reasoning", "keywords", 0.8)
    assert made.sticks_to is session


async def test_a_new_session_has_the_categorys_chain_and_will_stick(
    classifier: FakeClassifier,
) -> None:
    session = in_session()
    made = await plan(classifier, session=session)
    assert models(made)[0] == "openrouter/aurora-alpha"
    assert made.sticks_to is session


async def test_a_stronger_category_leaves_the_sessions_model(classifier: FakeClassifier) -> None:
    session = in_session()
    session.keep(Decision("conversation", "local", 0.9), "openai/gpt-4o-mini")
    made = await plan(classifier, session=session)
    assert made.decision == Decision("reasoning", "keywords", 0.8)
    assert models(made)[0] == "openrouter/aurora-alpha"


async def test_tools_stick_as_well(classifier: FakeClassifier) -> None:
    session = in_session()
    session.keep(Decision("tools", "tools"), "z-ai/glm-5")
    made = await plan(classifier, tools=TOOLS, session=session)
    assert (made.decision.category, models(made)[0]) == ("tools", "z-ai/glm-5")


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("### Task:\nGenerate a title", {}),
        ("Hi", {"forced": "reasoning"}),
        ("Hi", {"model": "gpt-4o-mini"}),
    ],
    ids=["a client's own task", "a forced category", "a named model"],
)
async def test_some_requests_are_no_turn_of_a_session(
    classifier: FakeClassifier, text: str, more: dict[str, Any]
) -> None:
    session = in_session()
    session.keep(Decision("code", "local", 0.9), "openai/gpt-4o-mini")
    made = await plan(classifier, text, session=session, **more)
    assert made.decision.category != "code"
    assert made.sticks_to is None
