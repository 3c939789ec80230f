"""Which models and gates are shut out, until when and why; letting them in and holding them out."""

import logging
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from llm_router.errors import NotFound, StorageError
from llm_router.keys import BREAKERS, CONFIG, DATABASE
from llm_router.routing.names import safe
from llm_router.routing.near import did_you_mean, near_names
from llm_router.routing.snapshot import BreakerView, listed
from llm_router.storage.breakers import transitions, was_called
from llm_router.web.admin_bodies import ForceBody, read_document
from llm_router.web.responses import json_answer
from llm_router.web.routes import Route, Scope
from llm_router.web.rows import READ_S, share

TRANSITIONS = 50

log = logging.getLogger(__name__)


async def show(request: web.Request) -> web.Response:
    """List every model that is configured or was called, the gates, and the latest moves."""
    await share(request.app, READ_S)
    views = request.app[BREAKERS].views()
    seen = {view.subject for view in views}
    unseen = (BreakerView(id_, "closed") for id_ in request.app[CONFIG].current.model_ids() - seen)
    # Gates stay in the order in which they are asked.
    shown = listed(sorted((*views, *unseen), key=lambda v: "" if v.is_gate else v.subject))
    return json_answer({**shown, "transitions": await _transitions(request)})


async def reset(request: web.Request) -> web.Response:
    """Close one model's breaker and end its cool-down; `all` does so for everything there is."""
    name = request.match_info["model"].rstrip("/")
    await share(request.app)  # what another worker has just seen is reset, too
    config, breakers = request.app[CONFIG].current, request.app[BREAKERS]
    subject = config.model_id(name)
    cleared = breakers.reset(subject)
    await share(request.app)
    is_known = cleared is not None or subject in config.model_ids()
    if not is_known and not await _was_called(request, subject):
        seen = [view.subject for view in breakers.views() if not view.is_gate]
        raise _unknown(name, {*config.aliases, *config.model_ids(), *seen})
    return json_answer({"reset": subject, "cleared": cleared or []})


async def force(request: web.Request) -> web.Response:
    """Hold a model's breaker open or closed until the next word; `off` leaves it to itself."""
    state = (await read_document(request, ForceBody)).state
    to = None if state == "off" else state
    name = request.match_info["model"]
    config, breakers = request.app[CONFIG].current, request.app[BREAKERS]
    subject = config.model_id(name)
    seen = {view.subject for view in breakers.views() if not view.is_gate}
    if subject not in config.model_ids() | seen:
        raise _unknown(name, {*config.aliases, *config.model_ids(), *seen})
    breakers.force(subject, to)
    await share(request.app)
    return json_answer({"model": subject, "forced": to})


async def _transitions(request: web.Request) -> list[dict[str, Any]] | None:
    """Return the latest moves, or None while the database cannot answer: the rest still can."""
    try:
        moves = await transitions(request.app[DATABASE], limit=TRANSITIONS)
    except StorageError as exc:
        log.warning("breaker transitions cannot be read: %s", exc)
        return None
    return [move.as_dict() for move in moves]


async def _was_called(request: web.Request, model: str) -> bool:
    """True for what an earlier process or another worker called without any trouble."""
    try:
        return await was_called(request.app[DATABASE], model)
    except StorageError as exc:
        log.warning("the ledger cannot be asked for a model: %s", exc)
        return False


def _unknown(name: str, known: Iterable[str]) -> NotFound:
    near = near_names(name, known)
    return NotFound(
        f"No model {safe(name)} has been called or configured.{did_you_mean(near)}",
        metadata={"near": list(near)} if near else None,
    )


ROUTES = (
    Route("GET", "/circuit-breaker", show, Scope.ADMIN),
    Route("POST", "/circuit-breaker/reset/{model:.+}", reset, Scope.ADMIN),
    Route("POST", "/circuit-breaker/force/{model:.+}", force, Scope.ADMIN),
)
