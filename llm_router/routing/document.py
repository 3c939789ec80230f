"""Categories, chains and aliases as a document, and the rules that every such document keeps.

One shape everywhere: JSON in the database and over HTTP, TOML in files.

    [aliases]
    glm-5 = "z-ai/glm-5"

    [categories.code]
    models = ["glm-5", "openai/gpt-4o-mini"]
    keywords = ["python"]
    description = "Writing and fixing code."
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from llm_router.errors import DocumentError
from llm_router.routing.config import BUILTIN, DIRECT, Category, RoutingConfig
from llm_router.routing.defaults import default_config

NAME = r"[a-z0-9][a-z0-9_-]{0,63}"
# A client that says `router` or `auto` asks us to choose, and `all` resets every breaker.
_TAKEN_ALIASES = frozenset({"router", "auto", "all"})
_MODEL_ID = re.compile(r"~?[A-Za-z0-9][\w.-]*/[A-Za-z0-9~][\w.:/@+-]*", re.ASCII)
_PLAIN = re.compile(r"[\w-]{1,64}", re.ASCII)
_WORDS = {
    "extra_forbidden": "unknown field",
    "missing": "is missing",
    "string_type": "must be text",
    "string_unicode": "must be text in valid Unicode",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "tuple_type": "must be a list",
}

Name = Annotated[str, StringConstraints(max_length=64)]
ModelName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
# One line of text: control characters have no business in logs and prompts.
Line = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]*$")]
Keyword = Annotated[Line, StringConstraints(min_length=1, max_length=100)]
Models = Annotated[tuple[ModelName, ...], Field(min_length=1, max_length=32)]
Keywords = Annotated[tuple[Keyword, ...], Field(max_length=500)]
Description = Annotated[Line, StringConstraints(max_length=1000)]


class Strict(BaseModel):
    """What comes from outside: only the listed fields, and no input repeated in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class CategoryDocument(Strict):
    models: Models
    keywords: Keywords = ()
    description: Description = ""


class Document(Strict):
    categories: Annotated[dict[Name, CategoryDocument], Field(max_length=200)]
    aliases: Annotated[dict[Name, ModelName], Field(max_length=1000)] = {}


@dataclass(frozen=True, slots=True)
class Change:
    """One place that differs between two versions; None where it did not or does not exist."""

    path: str
    before: Any
    after: Any


def parse(document: object, *, version: int = 0) -> RoutingConfig:
    """Return the configuration a document describes, or raise DocumentError."""
    try:
        checked = Document.model_validate(document)
    except ValidationError as exc:
        raise explain(exc) from None
    _check_names(checked)
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


def changes(before: RoutingConfig | None, after: RoutingConfig) -> list[Change]:
    """Return what differs, category by category and field by field."""
    old, new = _flat(before), _flat(after)
    return [
        Change(path, old.get(path), new.get(path))
        for path in dict.fromkeys([*old, *new])
        if old.get(path) != new.get(path)
    ]


def explain(exc: ValidationError) -> DocumentError:
    """Say in one sentence what pydantic found; unknown fields are named together."""
    errors = exc.errors(include_url=False, include_context=False, include_input=False)
    unknown = [_path(e["loc"]) for e in errors if e["type"] == "extra_forbidden"]
    if len(unknown) > 1:
        return DocumentError(unknown[0], f"unknown fields: {', '.join(unknown[:20])}")
    first = errors[0]
    if first["loc"] and first["loc"][-1] == "[key]":
        first["loc"] = first["loc"][:-1]
    if first["type"] == "string_pattern_mismatch":
        return DocumentError(_path(first["loc"]), "must be one line without control characters")
    words = _WORDS.get(first["type"]) or _lower_first(first["msg"])
    return DocumentError(_path(first["loc"]), words)


def near(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean a or b?`, or nothing when nothing is near."""
    matches = difflib.get_close_matches(name[:200], list(known), n=3)
    return f"; did you mean {' or '.join(matches)}?" if matches else ""


def _described(entry: object, default: Mapping[str, Any] | None) -> object:
    if default is None or not isinstance(entry, Mapping):
        return entry
    return {"description": default["description"]} | dict(entry)


def _check_names(document: Document) -> None:
    for name in document.categories:
        if not re.fullmatch(NAME, name):
            raise DocumentError(
                _path(("categories", name)),
                "a category is named by 1 to 64 of a-z, 0-9, _ and -, not beginning with _ or -",
            )
        if name == DIRECT:
            raise DocumentError(f"categories.{name}", f"the name {DIRECT} is reserved")
    for name in BUILTIN:
        if name not in document.categories:
            raise DocumentError(f"categories.{name}", "is missing: it is a built-in category")
    for alias, model_id in document.aliases.items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", alias):
            raise DocumentError(
                _path(("aliases", alias)),
                "an alias is 1 to 64 of letters, digits, . _ : and -",
            )
        if alias in _TAKEN_ALIASES:
            raise DocumentError(f"aliases.{alias}", f"the name {alias} is reserved")
        if not _MODEL_ID.fullmatch(model_id):
            raise DocumentError(_path(("aliases", alias)), "must be a full id like vendor/model")


def _check_chain(category: Category, aliases: Mapping[str, str]) -> None:
    seen: set[str] = set()
    for index, model in enumerate(category.models):
        path = f"categories.{category.name}.models[{index}]"
        if model not in aliases and not _MODEL_ID.fullmatch(model):
            hint = near(model, {*aliases, *aliases.values()})
            raise DocumentError(path, f"{_safe(model)} is neither an alias nor vendor/model{hint}")
        model_id = aliases.get(model, model)
        if model_id in seen:
            raise DocumentError(path, f"{_safe(model_id)} is in the chain twice")
        seen.add(model_id)


def _flat(config: RoutingConfig | None) -> dict[str, Any]:
    if config is None:
        return {}
    document = to_dict(config)
    flat = {f"aliases.{alias}": model for alias, model in document["aliases"].items()}
    for name, entry in document["categories"].items():
        flat |= {f"categories.{name}.{key}": value for key, value in entry.items()}
    return flat


def _path(loc: Iterable[int | str]) -> str:
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{_safe(part)}" if path else _safe(part)
    return path


def _safe(text: str) -> str:
    """Show a name that somebody sent: short, and in ASCII where it is odd."""
    plain = text if _PLAIN.fullmatch(text) or _MODEL_ID.fullmatch(text) else ascii(text)
    return plain if len(plain) <= 80 else plain[:77] + "..."


def _lower_first(message: str) -> str:
    return message[:1].lower() + message[1:]
