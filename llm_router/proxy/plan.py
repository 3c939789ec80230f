"""What will be done with a request: the decision, and the chain that follows from it."""

from collections.abc import Callable

from msgspec import Struct

from llm_router.classify.base import CallBook, Classifier, Decision, Prompt
from llm_router.classify.text import peel
from llm_router.proxy.body import ChatBody
from llm_router.proxy.sessions import Session, in_session
from llm_router.routing.catalog import Catalog
from llm_router.routing.chain import Candidate, Lineup
from llm_router.routing.config import DIRECT, RoutingConfig
from llm_router.routing.resolve import Direct, Forced, resolve
from llm_router.settings import Settings

TOOLS = "tools"

LineUp = Callable[[tuple[str, ...], RoutingConfig, Catalog], Lineup]


class Plan(Struct, frozen=True):
    """`judged` is what the classifier said of `prompt`, where it was asked.

    `sticks_to` is the session that keeps the model which answers.
    """

    decision: Decision
    chain: tuple[Candidate, ...]
    prompt: Prompt | None = None
    judged: Decision | None = None
    sticks_to: Session | None = None


async def make_plan(
    body: ChatBody,
    forced_category: str | None,
    *,
    settings: Settings,
    config: RoutingConfig,
    catalog: Catalog,
    classifier: Classifier,
    book: CallBook,
    line_up: LineUp = Lineup,
    session: Session | None = None,
) -> Plan:
    """Decide. Raises ModelNotFound, UnknownCategory, or InvalidRequest for an ambiguous message.

    `line_up` may remember what it has made.
    """
    asked = resolve(body.model, forced_category, config, catalog, settings.models.direct)
    if isinstance(asked, Direct):
        decision = Decision(DIRECT, "direct", rule=f"the client named {asked.model_id}")
        lineup = Lineup((asked.model_id,), config, catalog, keep_gone=True)
        return Plan(decision, lineup.chain(body.needs))
    prompt = judged = None
    if isinstance(asked, Forced):
        decision = Decision(asked.category, "forced", rule="the client named the category")
        session = None
    elif body.has_tools and settings.classifier.tools == "category":
        decision = Decision(TOOLS, "tools", rule="the request carries tools")
    else:
        prompt = peel(body.messages, has_tools=body.has_tools)
        decision = judged = await classifier.decide(prompt, config, book)
        if prompt.chore:
            session = None
    models = config.categories[decision.category].models
    if session is not None:
        decision, models = _kept(session, prompt or peel(body.messages), decision, models, config)
    chain = line_up(models, config, catalog).chain(body.needs)
    return Plan(decision, chain, prompt, judged, session)


def _kept(
    session: Session,
    prompt: Prompt,
    decision: Decision,
    models: tuple[str, ...],
    config: RoutingConfig,
) -> tuple[Decision, tuple[str, ...]]:
    """Return what is decided where a session may have a model, and the category's models."""
    held = session.held(is_new=not (prompt.has_history or prompt.is_step), config=config)
    kept = None if held is None else in_session(decision, held)
    if held is None or kept is None:
        return decision, models
    return kept, _with_first(held.model, config.categories[kept.category].models, config)


def _with_first(model_id: str, models: tuple[str, ...], config: RoutingConfig) -> tuple[str, ...]:
    """Return the models with the one of this full id, if it is among them, before the others."""
    return tuple(sorted(models, key=lambda name: config.model_id(name) != model_id))
