"""What will be done with a request: the decision, and the chain that follows from it."""

from collections.abc import Sequence

from msgspec import Struct

from llm_router.classify.base import CallBook, Classifier, Decision, Prompt
from llm_router.classify.text import peel
from llm_router.proxy.body import ChatBody
from llm_router.proxy.sessions import Session, in_session
from llm_router.routing.catalog import Catalog
from llm_router.routing.chain import Candidate, build_chain
from llm_router.routing.config import DIRECT, RoutingConfig
from llm_router.routing.resolve import Direct, Forced, resolve
from llm_router.settings import Settings

TOOLS = "tools"


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
    session: Session | None = None,
) -> Plan:
    """Decide. Raises ModelNotFound, UnknownCategory, or InvalidRequest for an ambiguous message."""
    asked = resolve(body.model, forced_category, config, catalog, settings.models.direct)
    if isinstance(asked, Direct):
        decision = Decision(DIRECT, "direct", rule=f"the client named {asked.model_id}")
        chain = build_chain([asked.model_id], config, catalog, body.needs, keep_gone=True)
        return Plan(decision, chain)
    if isinstance(asked, Forced):
        decision = Decision(asked.category, "forced", rule="the client named the category")
        return Plan(decision, _chain(decision, config, catalog, body))
    prompt = judged = None
    if body.has_tools and settings.classifier.tools == "category":
        decision = Decision(TOOLS, "tools", rule="the request carries tools")
    else:
        prompt = peel(body.messages, has_tools=body.has_tools)
        decision = judged = await classifier.decide(prompt, config, book)
    if session is None or (prompt is not None and prompt.chore):
        return Plan(decision, _chain(decision, config, catalog, body), prompt, judged)
    held = session.held(is_new=_is_new(prompt or peel(body.messages)), config=config)
    kept = None if held is None else in_session(decision, held)
    if held is None or kept is None:
        return Plan(decision, _chain(decision, config, catalog, body), prompt, judged, session)
    chain = _chain(kept, config, catalog, body, first=held.model)
    return Plan(kept, chain, prompt, judged, session)


def _is_new(prompt: Prompt) -> bool:
    """Whether the conversation begins here."""
    return not (prompt.has_history or prompt.is_step)


def _chain(
    decision: Decision,
    config: RoutingConfig,
    catalog: Catalog,
    body: ChatBody,
    *,
    first: str | None = None,
) -> tuple[Candidate, ...]:
    """Return the category's chain, `first` (a full id) before the others if it is one of them."""
    models: Sequence[str] = config.categories[decision.category].models
    if first is not None:
        models = sorted(models, key=lambda name: config.model_id(name) != first)
    return build_chain(models, config, catalog, body.needs)
