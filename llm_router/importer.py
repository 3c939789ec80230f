"""Take over the original system's router_config.json.

Its format is not documented, so this reads the shapes that the API's bodies suggest: categories by
name or as a list, their models as a list or spread over `primary` and `fallbacks`, a mapping from
category to models, short names for ids. What it does not understand it says, by its place in the
file and never by its content, which may hold a key.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from llm_router.errors import DocumentError
from llm_router.routing.config import BUILTIN, RoutingConfig
from llm_router.routing.document import parse, to_dict
from llm_router.routing.names import is_model_id, safe

_CATEGORIES = {"categories", "custom_categories", "category", "routes"}
_MAPPINGS = {"model_mapping", "model_mappings", "mapping", "mappings", "chains"}
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
        _take_categories(result, "the list", data)
        return result
    if not isinstance(data, dict):
        result.not_understood.append("the file: neither a JSON object nor a list of categories")
        return result
    # Short names first: the chains that use them may stand before them.
    for key, value in data.items():
        if _word(key) in _ALIASES:
            _take_aliases(result, safe(key), value)
    for key, value in data.items():
        word, path = _word(key), safe(key)
        if value in ({}, []):
            result.not_understood.append(f"{path}: empty")
        elif word in _CATEGORIES or word in _MAPPINGS:
            _take_categories(result, path, value)
        elif word in BUILTIN:
            _take_category(result, path, word, value)
        elif word in _MODE:
            result.not_understood.append(f"{path}: a setting now; put ROUTING_MODE into .env")
        elif word not in _ALIASES:
            result.not_understood.append(f"{path}: unknown")
    return result


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


def _take_categories(result: Import, path: str, value: object) -> None:
    if isinstance(value, dict):
        for name, entry in value.items():
            _take_category(result, f"{path}.{safe(name)}", name, entry)
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            place = f"{path}[{index}]"
            name = entry.get("name", entry.get("category")) if isinstance(entry, dict) else None
            if isinstance(name, str):
                _take_category(result, place, name, entry)
            else:
                result.not_understood.append(f"{place}: a category without a name")
    else:
        result.not_understood.append(f"{path}: neither an object nor a list")


def _take_category(result: Import, path: str, name: str, entry: object) -> None:
    fields = entry if isinstance(entry, dict) else {"models": entry}
    slug = re.sub(r"[^a-z0-9_-]+", "-", name.strip().lower()).strip("-_")
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
