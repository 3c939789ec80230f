"""GET /requests and /requests/{id}: the ledger's rows as JSON."""

from typing import get_args

import msgspec
from aiohttp import web

from llm_router.classify.base import By
from llm_router.errors import InvalidRequest, NotFound
from llm_router.keys import CLOCK, CONFIG, DATABASE
from llm_router.ledger.entry import Outcome
from llm_router.ledger.report import ledger_row
from llm_router.storage.requests import MAX_LIMIT, Cursor, Filter, one, page
from llm_router.storage.texts import text_of
from llm_router.web.params import choice, period, read_query, whole_number
from llm_router.web.responses import json_answer
from llm_router.web.routes import Route, Scope
from llm_router.web.rows import catch_up

OUTCOMES = (*get_args(Outcome), "in_flight")
_LIMIT = 50
_PARAMETERS = (
    "since",
    "until",
    "category",
    "model",
    "outcome",
    "classifier",
    "key",
    "session",
    "limit",
    "cursor",
)


async def list_requests(request: web.Request) -> web.Response:
    """Answer a page, newest first; `next` is the `cursor` of the following one, or null."""
    query = read_query(request, _PARAMETERS)
    model = query.get("model")
    await catch_up(request.app)
    rows, following = await page(
        request.app[DATABASE],
        Filter(
            category=query.get("category"),
            classifier=choice(query, "classifier", get_args(By)),
            outcome=choice(query, "outcome", OUTCOMES),
            key=query.get("key"),
            session=query.get("session"),
            model=model and request.app[CONFIG].current.model_id(model),
        ),
        period(query, request.app[CLOCK].wall()),
        after=_cursor(query.get("cursor")),
        limit=whole_number(query, "limit", _LIMIT, MAX_LIMIT),
    )
    return json_answer(
        {
            "requests": [ledger_row(dict(row)) for row in rows],
            "next": str(following) if following else None,
        }
    )


async def show_request(request: web.Request) -> web.Response:
    """Answer one request. `attempts` are all its calls here, in order; their count moves aside."""
    request_id = request.match_info["id"]
    await catch_up(request.app)
    found = await one(request.app[DATABASE], request_id)
    if found is None:
        raise NotFound(
            f"There is no request {request_id[:80]!r} in the ledger; old ones may have been pruned."
        )
    row, attempts = found
    shown = ledger_row(dict(row))
    shown["left_out"] = msgspec.json.decode(row["left_out"] or "{}")
    if (text := await text_of(request.app[DATABASE], request_id)) is not None:
        shown["text"] = dict(text)
    shown["attempt_count"] = shown["attempts"]
    shown["attempts"] = [ledger_row(dict(attempt)) for attempt in attempts]
    return json_answer(shown)


def _cursor(text: str | None) -> Cursor | None:
    try:
        return None if text is None else Cursor.parse(text)
    except ValueError as exc:
        raise InvalidRequest(
            f"cursor: {exc}; take `next` of the page before.", param="cursor"
        ) from exc


ROUTES = (
    Route("GET", "/requests", list_requests, Scope.ADMIN),
    Route("GET", "/requests/{id}", show_request, Scope.ADMIN),
)
