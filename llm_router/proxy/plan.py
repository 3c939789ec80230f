"""What will be done with a request: the decision, and the chain that follows from it."""

from msgspec import Struct

from llm_router.classify.base import CallBook, Classifier, Decision
from llm_router.classify.text import peel
from llm_router.proxy.body import ChatBody
from llm_router.routing.catalog import Catalog
from llm_router.routing.chain import Candidate, build_chain
from llm_router.routing.config import DIRECT, RoutingConfig
from llm_router.routing.resolve import Direct, Forced, resolve
from llm_router.settings import Settings

TOOLS = "tools"


class Plan(Struct, frozen=True):
    decision: Decision
    chain: tuple[Candidate, ...]


async def make_plan(
    body: ChatBody,
    forced_category: str | None,
    *,
    settings: Settings,
    config: RoutingConfig,
    catalog: Catalog,
    classifier: Classifier,
    book: CallBook,
) -> Plan:
    """Decide. Raises ModelNotFound, UnknownCategory, or InvalidRequest for an ambiguous message."""
    asked = resolve(body.model, forced_category, config, catalog, settings.models.direct)
    if isinstance(asked, Direct):
        decision = Decision(DIRECT, "direct", rule=f"the client named {asked.model_id}")
        chain = build_chain([asked.model_id], config, catalog, body.needs, keep_gone=True)
        return Plan(decision, chain)
    if isinstance(asked, Forced):
        decision = Decision(asked.category, "forced", rule="the client named the category")
    elif body.has_tools and settings.classifier.tools == "category":
        decision = Decision(TOOLS, "tools", rule="the request carries tools")
    else:
        prompt = peel(body.messages, has_tools=body.has_tools)
        decision = await classifier.decide(prompt, config, book)
    models = config.categories[decision.category].models
    return Plan(decision, build_chain(models, config, catalog, body.needs))
