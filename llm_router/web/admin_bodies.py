"""JSON bodies of the admin routes: small, strict, and only as `application/json`.

A web page cannot send that content type to another origin without asking first, which nobody
here answers; so a page that a user happens to visit changes nothing.
"""

import json
from typing import Any, TypeVar

from aiohttp import web
from pydantic import ValidationError

from llm_router.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from llm_router.routing.document import Strict, explain
from llm_router.routing.gate_state import Force
from llm_router.routing.names import CategoryName, Description, Keywords, Models, safe
from llm_router.web.body import read_body

MAX_BODY_BYTES = 1 << 20

Body = TypeVar("Body", bound=Strict)


class CategoryBody(Strict):
    """What is left out of an existing category stays as it is."""

    name: CategoryName
    models: Models
    keywords: Keywords | None = None
    description: Description | None = None


class MappingBody(Strict):
    category: CategoryName
    models: Models


class ForceBody(Strict):
    state: Force


async def read_document(request: web.Request, model: type[Body]) -> Body:
    """Return the validated body; InvalidRequest names what is wrong with it."""
    try:
        return model.model_validate(await read_object(request))
    except ValidationError as exc:
        error = explain(exc)
        raise refusal(error.path, error.problem) from None


def refusal(path: str, problem: str) -> InvalidRequest:
    """Return what to raise for a fault at `path` of the body."""
    words = f"{path}: {problem}" if path else problem
    return InvalidRequest(words if words.endswith("?") else words + ".", param=path or None)


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return the body's JSON object, in which every key stands once."""
    if request.content_type != "application/json":
        raise UnsupportedMediaType("Send JSON, with the header Content-Type: application/json.")
    body = await read_body(request)
    if len(body) > MAX_BODY_BYTES:
        raise PayloadTooLarge(f"The body is larger than {MAX_BODY_BYTES} bytes.")
    try:
        value = json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as exc:
        raise InvalidRequest(f"The body is not valid JSON: {exc}.") from exc
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None
    except ValueError as exc:  # bytes that are no text, numbers without end
        raise InvalidRequest("The body is not valid JSON.") from exc
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object.")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice: which of the two was meant?"""
    value: dict[str, Any] = {}
    for key, item in pairs:
        if key in value:
            raise InvalidRequest(f"{safe(key)} stands twice in one object.", param=safe(key))
        value[key] = item
    return value


def _no_constant(name: str) -> float:
    raise InvalidRequest(f"{name} is not JSON.")
