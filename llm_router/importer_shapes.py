"""The shapes that a router_config.json may have.

Its format is not documented. The bodies of the original API suggest categories by name or as a
list, their models as a list or spread over `primary` and `fallbacks`, a mapping from category to
models or from short name to id, keywords apart from the chains, all of it inside another object or
not. Keys are compared as `word` writes them.
"""

import re
from collections.abc import Iterator

from llm_router.routing.names import safe

CATEGORIES = {"categories", "custom_categories", "category", "routes"}
MAPPINGS = {"model_mapping", "model_mappings", "model_map", "mapping", "mappings", "chains"}
MAPPINGS |= {"category_models", "category_mapping", "category_model_mapping"}
KEYWORDS = {"keywords", "category_keywords", "keyword_mapping"}
WRAPPERS = {"config", "router", "router_config", "routing", "settings"}
ALIASES = {"aliases", "model_aliases", "short_names", "models", "model_ids"}
MODELS = ("models", "model", "chain", "primary", "fallbacks", "fallback")
MODEL_KEYS = ("id", "model", "name")
MODE = {"mode", "routing_mode", "default_mode"}


def word(key: str) -> str:
    """Return `model_mapping` for modelMapping, Model-Mapping and the like."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower().replace("-", "_").replace(" ", "_")


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", name.strip().lower()).strip("-_")


def entries(data: dict[str, object], within: str = "") -> Iterator[tuple[str, str, object]]:
    """Yield place, key and value of everything at the top, objects that only wrap it opened."""
    for key, value in data.items():
        path = f"{within}{safe(key)}"
        if word(key) in WRAPPERS and isinstance(value, dict) and value and not within:
            yield from entries(value, f"{path}.")
        else:
            yield path, key, value


def names_in(value: object) -> Iterator[str]:
    """Yield the names of the categories that an object or a list is about."""
    for entry in value if isinstance(value, (dict, list)) else ():
        if (name := name_of(entry)) is not None:
            yield name


def name_of(entry: object) -> str | None:
    """Return the name of a category in a list, which may be all there is of it."""
    name = entry.get("name", entry.get("category")) if isinstance(entry, dict) else entry
    return name if isinstance(name, str) else None


def has_models(fields: dict[str, object]) -> bool:
    return any(word(key) in MODELS for key in fields)


def model_of(entry: object) -> str:
    """Return the name or id an entry gives, or nothing; `openrouter/vendor/model` is LiteLLM's."""
    if isinstance(entry, dict):
        entry = next((entry[key] for key in MODEL_KEYS if key in entry), None)
    if not isinstance(entry, str):
        return ""
    model = entry.strip()
    return model.removeprefix("openrouter/") if model.count("/") > 1 else model


def texts_of(value: object) -> list[str] | None:
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return [word.strip() for word in value if word.strip()]
    return None
