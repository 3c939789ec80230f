"""Categories, chains and aliases as a document, and the rules that every such document keeps.

One shape everywhere: JSON in the database and over HTTP, TOML in files.

    [aliases]
    glm-5 = "z-ai/glm-5"

    [categories.code]
    models = ["glm-5", "openai/gpt-4o-mini"]
    keywords = ["python"]
    description = "Writing and fixing code."
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
)

from llm_router.errors import DocumentError
from llm_router.routing.config import BUILTIN, Category, RoutingConfig
from llm_router.routing.defaults import default_config
from llm_router.routing.names import (
    AliasName,
    CategoryName,
    Description,
    Keywords,
    ModelId,
    Models,
    is_model_id,
    safe,
)
from llm_router.routing.near import or_near

_WORDS = {
    "extra_forbidden": "unknown field",
    "missing": "is missing",
    "literal_error": "must be {expected}",
    "string_type": "must be text",
    "string_unicode": "must be text in valid Unicode",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} entries",
    "value_error": "{error}",
}


class Strict(BaseModel):
    """What comes from outside: only the listed fields, and no input repeated in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class CategoryDocument(Strict):
    models: Models
    keywords: Keywords = ()
    description: Description = ""


class Document(Strict):
    categories: Annotated[dict[CategoryName, CategoryDocument], Field(max_length=200)]
    aliases: Annotated[dict[AliasName, ModelId], Field(max_length=1000)] = {}


@dataclass(frozen=True, slots=True)
class Change:
    """One place that differs between two versions; None where it did not or does not exist."""

    path: str
    before: Any
    after: Any

    def as_dict(self) -> dict[str, Any]:
        return {"path": self.path, "from": self.before, "to": self.after}


def parse(document: object, *, version: int = 0) -> RoutingConfig:
    """Return the configuration a document describes, or raise DocumentError."""
    try:
        checked = Document.model_validate(document)
    except ValidationError as exc:
        raise explain(exc) from None
    for name in BUILTIN:
        if name not in checked.categories:
            raise DocumentError(
                f"categories.{name}", "is missing; built-in categories always exist"
            )
    categories = {
        name: Category(name, entry.models, entry.keywords, entry.description)
        for name, entry in checked.categories.items()
    }
    for category in categories.values():
        _check_chain(category, checked.aliases)
    return RoutingConfig(version=version, categories=categories, aliases=dict(checked.aliases))


def seed(document: Mapping[str, Any]) -> RoutingConfig:
    """Return the defaults with the document's aliases and categories laid over them."""
    base = to_dict(default_config())
    categories, aliases = document.get("categories", {}), document.get("aliases", {})
    if isinstance(categories, Mapping):
        categories = base["categories"] | {
            # A chain changed in the file leaves the words about its category as they are.
            name: _described(entry, base["categories"].get(name))
            for name, entry in categories.items()
        }
    if isinstance(aliases, Mapping):
        aliases = base["aliases"] | dict(aliases)
    return parse({**document, "categories": categories, "aliases": aliases})


def to_dict(config: RoutingConfig) -> dict[str, Any]:
    """Return the document; `parse(to_dict(c), version=c.version) == c`."""
    return {
        "aliases": dict(config.aliases),
        "categories": {
            name: {
                "models": list(category.models),
                "keywords": list(category.keywords),
                "description": category.description,
            }
            for name, category in config.categories.items()
        },
    }


def from_toml(text: str) -> RoutingConfig:
    try:
        return parse(tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        raise DocumentError("", f"not valid TOML: {exc}") from exc


def to_toml(config: RoutingConfig) -> str:
    return tomli_w.dumps(to_dict(config))


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return what differs between two documents, category by category and field by field."""
    old, new = _flat(before), _flat(after)
    return [
        Change(path, old.get(path), new.get(path))
        for path in dict.fromkeys([*old, *new])
        if old.get(path) != new.get(path)
    ]


def explain(exc: ValidationError) -> DocumentError:
    """Say in one sentence what pydantic found; unknown fields are named together."""
    errors = exc.errors(include_url=False, include_input=False)
    unknown = [_path(error["loc"]) for error in errors if error["type"] == "extra_forbidden"]
    if len(unknown) > 1:
        return DocumentError(unknown[0], f"unknown fields: {', '.join(unknown[:20])}")
    first = errors[0]
    words = _WORDS[first["type"]].format_map(first.get("ctx", {}))
    return DocumentError(_path(part for part in first["loc"] if part != "[key]"), words)


def _described(entry: object, default: Mapping[str, Any] | None) -> object:
    if default is None or not isinstance(entry, Mapping):
        return entry
    return {"description": default["description"]} | dict(entry)


def _check_chain(category: Category, aliases: Mapping[str, str]) -> None:
    seen: set[str] = set()
    for index, model in enumerate(category.models):
        path = f"categories.{category.name}.models[{index}]"
        if model not in aliases and not is_model_id(model):
            hint = or_near(model, {*aliases, *aliases.values()})
            raise DocumentError(path, f"{safe(model)} is neither an alias nor vendor/model{hint}")
        model_id = aliases.get(model, model)
        if model_id in seen:
            raise DocumentError(path, f"{safe(model_id)} is in the chain twice")
        seen.add(model_id)


def _flat(document: Mapping[str, Any]) -> dict[str, Any]:
    flat = {f"aliases.{alias}": model for alias, model in document.get("aliases", {}).items()}
    for name, entry in document.get("categories", {}).items():
        flat |= {f"categories.{name}.{key}": value for key, value in entry.items()}
    return flat


def _path(loc: Iterable[int | str]) -> str:
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{safe(part)}" if path else safe(part)
    return path
