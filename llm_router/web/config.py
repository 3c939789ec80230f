"""The configuration over HTTP: categories, chains and aliases, their history, and the way back."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from llm_router.errors import (
    Conflict,
    DocumentError,
    InvalidRequest,
    NotFound,
    StorageError,
    Unavailable,
    UnknownCategory,
)
from llm_router.keys import CATALOG, CONFIG, CONFIG_STORE, SETTINGS
from llm_router.routing.config import Category, RoutingConfig
from llm_router.routing.document import parse, to_dict
from llm_router.routing.names import safe
from llm_router.routing.resolve import no_such_category
from llm_router.storage.config import Edit
from llm_router.web.admin_bodies import (
    CategoryBody,
    MappingBody,
    read_document,
    read_object,
    refusal,
)
from llm_router.web.params import read_query, whole_number
from llm_router.web.responses import json_answer
from llm_router.web.routes import Route, Scope

MAX_HISTORY = 1000
_VERSION = re.compile(r"[0-9]{1,9}")


async def show(request: web.Request) -> web.Response:
    config = request.app[CONFIG].current
    return json_answer(
        {
            "version": config.version,
            "mode": request.app[SETTINGS].classifier.mode,
            "categories": {name: _shown(c) for name, c in config.categories.items()},
            "chains": {
                name: [config.model_id(model) for model in category.models]
                for name, category in config.categories.items()
            },
            "aliases": dict(config.aliases),
        }
    )


async def put_category(request: web.Request) -> web.Response:
    """Add a category or change one."""
    body = await read_document(request, CategoryBody)
    given = body.model_dump(exclude_none=True)
    name = given.pop("name")

    def edit(config: RoutingConfig) -> RoutingConfig:
        return _with_category(config, name, given)

    return _category_answer(request, await _change(request, f"category {name}", edit), name)


async def put_mapping(request: web.Request) -> web.Response:
    """Change the chain of a category that exists."""
    body = await read_document(request, MappingBody)
    name = body.category

    def edit(config: RoutingConfig) -> RoutingConfig:
        if name not in config.categories:
            raise UnknownCategory(no_such_category(name, config), param="category")
        return _with_category(config, name, {"models": body.models})

    return _category_answer(request, await _change(request, f"model-mapping {name}", edit), name)


async def delete_category(request: web.Request) -> web.Response:
    name = request.match_info["name"]

    def edit(config: RoutingConfig) -> RoutingConfig:
        category = config.categories.get(name)
        if category is None:
            raise NotFound(no_such_category(name, config))
        if category.is_builtin:
            raise Conflict(f"{name} is built in: its chain can be changed, but it cannot go.")
        document = to_dict(config)
        del document["categories"][name]
        return parse(document)

    config = await _change(request, f"delete {safe(name)}", edit)
    return json_answer({"deleted": name, "version": config.version})


async def replace(request: web.Request) -> web.Response:
    """Put a whole document in force; with `version`, only in place of that one."""
    document = await read_object(request)
    expected = document.pop("version", None)
    if expected is not None and (not isinstance(expected, int) or isinstance(expected, bool)):
        raise InvalidRequest("version must be a whole number.", param="version")
    with _answering():
        config = parse(document)

    def edit(current: RoutingConfig) -> RoutingConfig:
        if expected not in (None, current.version):
            raise Conflict(
                f"Version {current.version} is in force, not {expected}; read it and try again."
            )
        return config

    return _whole_answer(await _change(request, "apply", edit))


async def history(request: web.Request) -> web.Response:
    """List the latest versions, newest first, with what each changed."""
    limit = whole_number(read_query(request, ("limit",)), "limit", 50, MAX_HISTORY)
    with _answering():
        versions = await request.app[CONFIG_STORE].history(limit)
    return json_answer({"versions": [version.as_dict() for version in versions]})


async def rollback(request: web.Request) -> web.Response:
    version = request.match_info["version"]
    if not _VERSION.fullmatch(version):
        raise NotFound("A version is a number; GET /config/history lists them.")
    with _answering():
        config = await request.app[CONFIG_STORE].rollback(int(version), _actor(request))
    return _whole_answer(config)


async def _change(request: web.Request, action: str, edit: Edit) -> RoutingConfig:
    with _answering():
        return await request.app[CONFIG_STORE].change(_actor(request), action, edit)


def _with_category(config: RoutingConfig, name: str, given: dict[str, Any]) -> RoutingConfig:
    """Lay the given fields over a category and check the whole again."""
    document = to_dict(config)
    document["categories"][name] = document["categories"].get(name, {}) | given
    try:
        return parse(document)
    except DocumentError as exc:
        # In the words of the body, which knows nothing of the whole document.
        own = exc.path.removeprefix(f"categories.{name}.")
        raise refusal(own, exc.problem) from exc


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except DocumentError as exc:
        raise refusal(exc.path, exc.problem) from exc
    except StorageError as exc:
        raise Unavailable(
            f"The database cannot do this now; the configuration in force stays. ({exc})",
            retry_after_s=5,
        ) from exc


def _actor(request: web.Request) -> str:
    return "admin" if request.app[SETTINGS].server.admin_key is not None else "loopback"


def _shown(category: Category) -> dict[str, Any]:
    return {
        "models": list(category.models),
        "keywords": list(category.keywords),
        "description": category.description,
        "builtin": category.is_builtin,
    }


def _category_answer(request: web.Request, config: RoutingConfig, name: str) -> web.Response:
    """Show the category, and which of its models OpenRouter does not list: perhaps mistyped."""
    category = config.categories[name]
    shown = {"name": name, **_shown(category)}
    gone = request.app[CATALOG].current.gone(set(map(config.model_id, category.models)))
    found = {"gone": gone} if gone else {}
    return json_answer({"category": shown, "version": config.version, **found})


def _whole_answer(config: RoutingConfig) -> web.Response:
    return json_answer({"version": config.version, **to_dict(config)})


ROUTES = (
    Route("GET", "/config", show, Scope.ADMIN),
    Route("PUT", "/config", replace, Scope.ADMIN),
    Route("POST", "/config/category", put_category, Scope.ADMIN),
    Route("DELETE", "/config/category/{name}", delete_category, Scope.ADMIN),
    Route("POST", "/config/model-mapping", put_mapping, Scope.ADMIN),
    Route("GET", "/config/history", history, Scope.ADMIN),
    Route("POST", "/config/rollback/{version}", rollback, Scope.ADMIN),
)
