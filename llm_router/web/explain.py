"""POST /route/explain: the decision for a chat body, without calling any candidate."""

from typing import Any

from aiohttp import web

from llm_router.keys import (
    BREAKERS,
    CATALOG,
    CLASSIFIER,
    CLOCK,
    CONFIG,
    JOURNAL,
    REQUEST_ID,
    SESSIONS,
    SETTINGS,
)
from llm_router.proxy.body import parse_body
from llm_router.proxy.classifier_book import ClassifierBook
from llm_router.proxy.exchange import Exchange
from llm_router.proxy.plan import Plan, make_plan
from llm_router.proxy.sessions import session_of
from llm_router.routing.breaker import Breakers
from llm_router.routing.chain import Needs
from llm_router.web.body import read_body
from llm_router.web.preface import CATEGORY_HEADER, SESSION_HEADER
from llm_router.web.responses import json_answer
from llm_router.web.routes import Route, Scope


async def explain(request: web.Request) -> web.StreamResponse:
    """A classifier that has to be asked is asked, and booked like any other call."""
    app = request.app
    exchange = Exchange(request[REQUEST_ID], app[JOURNAL], app[CLOCK])
    body = parse_body(await read_body(request), request.headers.get(SESSION_HEADER))
    try:
        plan = await make_plan(
            body,
            request.headers.get(CATEGORY_HEADER),
            settings=app[SETTINGS],
            config=app[CONFIG].current,
            catalog=app[CATALOG].current,
            classifier=app[CLASSIFIER],
            book=ClassifierBook(exchange),
            session=session_of(app[SESSIONS], body, None),
        )
    finally:
        exchange.finish("completed", 200, None)
    return json_answer(explanation(plan, body.needs, app[BREAKERS]))


def explanation(plan: Plan, needs: Needs, breakers: Breakers | None) -> dict[str, Any]:
    """Return the decision as it is shown; without breakers every candidate counts as healthy."""
    decision = plan.decision
    chain = []
    taken = None
    for candidate in plan.chain:
        refusal = breakers.peek(candidate.model) if breakers is not None else None
        if candidate.left_out is not None:
            fate = f"left out: {candidate.left_out}"
        elif refusal is not None:
            fate = f"skipped: {refusal.reason}"
        elif taken is None:
            taken, fate = candidate.model, "first"
        else:
            fate = "fallback"
        chain.append({"name": candidate.name, "model": candidate.model, "fate": fate})
    return {
        "category": decision.category,
        "classifier": decision.by,
        "confidence": decision.confidence,
        "rule": decision.rule,
        "runners_up": [{"category": c, "confidence": p} for c, p in decision.runners_up],
        "skipped": list(decision.skipped),
        "session": None if plan.sticks_to is None else plan.sticks_to.name,
        "needs": {
            "prompt_tokens": needs.least_tokens(),
            "max_tokens": needs.max_tokens,
            "tools": needs.tools,
            "images": needs.images(),
            "structured_output": needs.structured_output,
        },
        "model": taken,
        "chain": chain,
    }


ROUTES = (Route("POST", "/route/explain", explain, Scope.ADMIN),)
