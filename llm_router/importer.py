"""Take over the original system's router_config.json.

Its format is not documented, so this reads the shapes that the API's bodies suggest: categories by
name or as a list, their models as a list or spread over `primary` and `fallbacks`, a mapping from
category to models or from short name to id, keywords apart from the chains, all of it inside
another object or not. What it does not understand it says, by its place in the file and never by
its content, which may hold a key.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from llm_router.errors import DocumentError
from llm_router.routing.config import BUILTIN, RoutingConfig
from llm_router.routing.document import parse, to_dict
from llm_router.routing.names import is_model_id, safe

_CATEGORIES = {"categories", "custom_categories", "category", "routes"}
_MAPPINGS = {"model_mapping", "model_mappings", "model_map", "mapping", "mappings", "chains"}
_MAPPINGS |= {"category_models", "category_mapping", "category_model_mapping"}
_KEYWORDS = {"keywords", "category_keywords", "keyword_mapping"}
_WRAPPERS = {"config", "router", "router_config", "routing", "settings"}
_ALIASES = {"aliases", "model_aliases", "short_names", "models", "model_ids"}
_MODELS = ("models", "model", "chain", "primary", "fallbacks", "fallback")
_MODEL_KEYS = ("id", "model", "name")
_MODE = {"mode", "routing_mode", "default_mode"}


@dataclass(slots=True)
class Import:
    """The configuration as it would be, and by places in the file what it was made from."""

    config: RoutingConfig
    taken: list[str] = field(default_factory=list)
    not_understood: list[str] = field(default_factory=list)
    _mapped: set[str] = field(default_factory=set)  # categories that a mapping has a chain for
    _named: set[str] = field(default_factory=set)  # those that are listed as categories
    _waiting: list[tuple[str, str, object]] = field(default_factory=list)  # without a chain yet
    _given: dict[tuple[str, str], object] = field(default_factory=dict)

    def give(self, path: str, category: str, key: str, value: object) -> None:
        """Note what a category gets; a file that says it twice, and differently, is told so."""
        before = self._given.setdefault((category, key), value)
        if before != value:
            self.not_understood.append(f"{path}: {key} once more; the last one counts")


def take(config: RoutingConfig, data: object) -> Import:
    """Lay what can be understood of `data` over a configuration; never raises for the rest."""
    result = Import(config)
    if isinstance(data, list):
        entries = [("the list", "categories", cast(object, data))]
    elif isinstance(data, dict):
        entries = list(_entries(data))
    else:
        result.not_understood.append("the file: neither a JSON object nor a list of categories")
        return result
    for _, key, value in entries:
        if (word := _word(key)) in _MAPPINGS | _CATEGORIES:
            names = {_slug(name) for name in _names(value)}
            (result._mapped if word in _MAPPINGS else result._named).update(names)
    # Short names first: the chains that use them may stand before them.
    for path, key, value in entries:
        if (word := _word(key)) in _ALIASES:
            _take_aliases(result, path, value)
        elif word in _MAPPINGS and isinstance(value, dict):
            ids = {name: entry for name, entry in value.items() if _is_alias(result, name, entry)}
            _take_aliases(result, path, ids)
    for path, key, value in entries:
        _take_entry(result, path, key, value)
    # The chain of a category may stand behind its keywords.
    waiting, result._waiting = result._waiting, []
    for path, name, entry in waiting:
        if entry != {} or _slug(name) not in result.config.categories:
            _take_category(result, path, name, entry, may_wait=False)
    if data and not result.taken and not result.not_understood:
        result.not_understood.append("the file: it names categories that exist, and nothing else")
    return result


def _entries(data: dict[str, object], within: str = "") -> Iterator[tuple[str, str, object]]:
    """Yield place, key and value of everything at the top, objects that only wrap it opened."""
    for key, value in data.items():
        path = f"{within}{safe(key)}"
        if _word(key) in _WRAPPERS and isinstance(value, dict) and value and not within:
            yield from _entries(value, f"{path}.")
        else:
            yield path, key, value


def _take_entry(result: Import, path: str, key: str, value: object) -> None:
    word = _word(key)
    if value in ({}, []):
        result.not_understood.append(f"{path}: empty")
    elif word in _CATEGORIES or word in _MAPPINGS:
        _take_categories(result, path, value, is_mapping=word in _MAPPINGS)
    elif word in _KEYWORDS and isinstance(value, dict):
        for name, words in value.items():
            _take_category(result, f"{path}.{safe(name)}", name, {"keywords": words})
    elif word in BUILTIN or _is_category(result, value):
        _take_category(result, path, key, value)
    elif word in _MODE:
        result.not_understood.append(f"{path}: a setting now; put ROUTING_MODE into .env")
    elif word not in _ALIASES:
        result.not_understood.append(f"{path}: unknown")


def _names(value: object) -> Iterator[str]:
    """Yield the names of the categories that an object or a list is about."""
    for entry in value if isinstance(value, (dict, list)) else ():
        name = entry.get("name", entry.get("category")) if isinstance(entry, dict) else entry
        if isinstance(name, str):
            yield name


def _is_alias(result: Import, name: str, entry: object) -> bool:
    """True for `gpt-5: openai/gpt-5` in a mapping, in which categories have their chains, too."""
    is_category = _slug(name) in result._named | set(result.config.categories)
    return not is_category and not isinstance(entry, list) and is_model_id(_model(entry))


def _is_category(result: Import, value: object) -> bool:
    """True for what looks like the user's own category right at the top: a list of models."""
    models = value.get("models") if isinstance(value, dict) else value
    known = result.config.aliases
    return isinstance(models, list) and all(
        isinstance(model, str) and (model in known or is_model_id(model)) for model in models
    )


def _take_aliases(result: Import, path: str, value: object) -> None:
    if not isinstance(value, dict):
        result.not_understood.append(f"{path}: not an object of short names and ids")
        return
    for name, entry in value.items():
        place = f"{path}.{safe(name)}"
        if isinstance(entry, list) or name in BUILTIN:
            _take_category(result, place, name, entry)
            continue
        document = to_dict(result.config)
        document["aliases"][name] = _model(entry)
        _report_rest(result, place, entry)
        _try(result, place, f"short name {safe(name)}", document)


def _take_categories(result: Import, path: str, value: object, *, is_mapping: bool = False) -> None:
    if isinstance(value, dict):
        for name, entry in value.items():
            place = f"{path}.{safe(name)}"
            if is_mapping and _is_alias(result, name, entry):
                continue  # taken already
            if not is_mapping and _slug(name) in result._mapped and _is_words(result, entry):
                entry = {"keywords": entry}
            _take_category(result, place, name, entry)
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            place = f"{path}[{index}]"
            name = entry.get("name", entry.get("category")) if isinstance(entry, dict) else None
            if isinstance(name, str):
                _take_category(result, place, name, entry)
            elif isinstance(entry, str):
                result._waiting.append((place, entry, {}))  # a name; its chain is elsewhere
            else:
                result.not_understood.append(f"{place}: a category without a name")
    else:
        result.not_understood.append(f"{path}: neither an object nor a list")


def _take_category(
    result: Import, path: str, name: str, entry: object, *, may_wait: bool = True
) -> None:
    fields = entry if isinstance(entry, dict) else {"models": entry}
    slug = _slug(name)
    if may_wait and slug not in result.config.categories and not _has_models(fields):
        result._waiting.append((path, name, entry))
        return
    given: dict[str, Any] = {}
    chain: dict[str, list[str]] = {}
    for key, value in fields.items():
        word, place = _word(key), f"{path}.{safe(key)}" if fields is entry else path
        if word in _MODELS:
            chain[word] = _take_models(result, place, value)
        elif word == "keywords" and (keywords := _texts(value)) is not None:
            given["keywords"] = list(dict.fromkeys(keywords))
        elif word == "description" and isinstance(value, str):
            given["description"] = " ".join(value.split())
        elif word not in ("name", "category"):
            result.not_understood.append(f"{place}: unknown")
    models = [model for word in _MODELS for model in chain.get(word, ())]
    if models:  # each once, by whichever name it comes first
        given["models"] = list(_by_id(result.config, models).values())
    if not given:
        result.not_understood.append(f"{path}: nothing to take")
        return
    for key, value in given.items():
        result.give(path, slug, key, value)
    document = to_dict(result.config)
    document["categories"][slug] = document["categories"].get(slug, {}) | given
    _try(result, path, f"category {safe(slug)} ({', '.join(given)})", document)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", name.strip().lower()).strip("-_")


def _has_models(fields: dict[str, object]) -> bool:
    return any(_word(key) in _MODELS for key in fields)


def _is_words(result: Import, entry: object) -> bool:
    """True for a list of texts none of which is a model: keywords, if the chain is elsewhere."""
    known = result.config.aliases
    return isinstance(entry, list) and all(
        isinstance(word, str) and word not in known and not is_model_id(word) for word in entry
    )


def _take_models(result: Import, path: str, value: object) -> list[str]:
    models = []
    for index, entry in enumerate(value if isinstance(value, list) else [value]):
        place = f"{path}[{index}]" if isinstance(value, list) else path
        model = _model(entry)
        _report_rest(result, place, entry)
        if model in result.config.aliases or is_model_id(model):
            models.append(model)
        else:
            result.not_understood.append(f"{place}: neither a known short name nor vendor/model")
    return models


def _report_rest(result: Import, path: str, entry: object) -> None:
    """Say what of a model's entry is left behind, such as a priority: the chain's order counts."""
    if isinstance(entry, dict):
        rest = [key for key in entry if key not in _MODEL_KEYS]
        result.not_understood.extend(f"{path}.{safe(key)}: unknown" for key in rest)


def _by_id(config: RoutingConfig, models: list[str]) -> dict[str, str]:
    named: dict[str, str] = {}
    for model in models:
        named.setdefault(config.model_id(model), model)
    return named


def _try(result: Import, path: str, what: str, document: dict[str, Any]) -> None:
    try:
        result.config = parse(document, version=result.config.version)
    except DocumentError as exc:
        result.not_understood.append(f"{path}: {exc.problem}")
    else:
        result.taken.append(f"{path}: {what}")


def _model(entry: object) -> str:
    """Return the name or id an entry gives, or nothing; `openrouter/vendor/model` is LiteLLM's."""
    if isinstance(entry, dict):
        entry = next((entry[key] for key in _MODEL_KEYS if key in entry), None)
    if not isinstance(entry, str):
        return ""
    model = entry.strip()
    return model.removeprefix("openrouter/") if model.count("/") > 1 else model


def _texts(value: object) -> list[str] | None:
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return [word.strip() for word in value if word.strip()]
    return None


def _word(key: str) -> str:
    """Return `model_mapping` for modelMapping, Model-Mapping and the like."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower().replace("-", "_").replace(" ", "_")
