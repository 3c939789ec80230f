"""Take over the original system's router_config.json.

What of it is not understood is said, by its place in the file and never by its content, which may
hold a key.
"""

from dataclasses import dataclass, field
from typing import Any, cast

from llm_router import importer_shapes as shapes
from llm_router.errors import DocumentError
from llm_router.routing.config import BUILTIN, RoutingConfig
from llm_router.routing.document import parse, to_dict
from llm_router.routing.names import is_model_id, safe


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
        entries = list(shapes.entries(data))
    else:
        result.not_understood.append("the file: neither a JSON object nor a list of categories")
        return result
    for _, key, value in entries:
        if (word := shapes.word(key)) in shapes.MAPPINGS | shapes.CATEGORIES:
            names = {shapes.slug(name) for name in shapes.names_in(value)}
            (result._mapped if word in shapes.MAPPINGS else result._named).update(names)
    # Short names first: the chains that use them may stand before them.
    for path, key, value in entries:
        if (word := shapes.word(key)) in shapes.ALIASES:
            _take_aliases(result, path, value)
        elif word in shapes.MAPPINGS and isinstance(value, dict):
            ids = {name: entry for name, entry in value.items() if _is_alias(result, name, entry)}
            _take_aliases(result, path, ids)
    for path, key, value in entries:
        _take_entry(result, path, key, value)
    # The chain of a category may stand behind its keywords.
    waiting, result._waiting = result._waiting, []
    for path, name, entry in waiting:
        if entry != {} or shapes.slug(name) not in result.config.categories:
            _take_category(result, path, name, entry, may_wait=False)
    if data and not result.taken and not result.not_understood:
        result.not_understood.append("the file: it names categories that exist, and nothing else")
    return result


def _take_entry(result: Import, path: str, key: str, value: object) -> None:
    word = shapes.word(key)
    if value in ({}, []):
        result.not_understood.append(f"{path}: empty")
    elif word in shapes.CATEGORIES or word in shapes.MAPPINGS:
        _take_categories(result, path, value, is_mapping=word in shapes.MAPPINGS)
    elif word in shapes.KEYWORDS and isinstance(value, dict):
        for name, words in value.items():
            _take_category(result, f"{path}.{safe(name)}", name, {"keywords": words})
    elif word in BUILTIN or _is_category(result, value):
        _take_category(result, path, key, value)
    elif word in shapes.MODE:
        result.not_understood.append(f"{path}: a setting now; put ROUTING_MODE into .env")
    elif word not in shapes.ALIASES:
        result.not_understood.append(f"{path}: unknown")


def _is_alias(result: Import, name: str, entry: object) -> bool:
    """True for `gpt-5: openai/gpt-5` in a mapping, in which categories have their chains, too."""
    is_category = shapes.slug(name) in result._named | set(result.config.categories)
    return not is_category and not isinstance(entry, list) and is_model_id(shapes.model_of(entry))


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
        document["aliases"][name] = shapes.model_of(entry)
        _report_rest(result, place, entry)
        _try(result, place, f"short name {safe(name)}", document)


def _take_categories(result: Import, path: str, value: object, *, is_mapping: bool = False) -> None:
    if isinstance(value, dict):
        for name, entry in value.items():
            place = f"{path}.{safe(name)}"
            if is_mapping and _is_alias(result, name, entry):
                continue  # taken already
            if not is_mapping and shapes.slug(name) in result._mapped and _is_words(result, entry):
                entry = {"keywords": entry}
            _take_category(result, place, name, entry)
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            place = f"{path}[{index}]"
            name = shapes.name_of(entry)
            if name is None:
                result.not_understood.append(f"{place}: a category without a name")
            elif isinstance(entry, str):
                result._waiting.append((place, name, {}))  # its chain is elsewhere
            else:
                _take_category(result, place, name, entry)
    else:
        result.not_understood.append(f"{path}: neither an object nor a list")


def _take_category(
    result: Import, path: str, name: str, entry: object, *, may_wait: bool = True
) -> None:
    fields = entry if isinstance(entry, dict) else {"models": entry}
    slug = shapes.slug(name)
    if may_wait and slug not in result.config.categories and not shapes.has_models(fields):
        result._waiting.append((path, name, entry))
        return
    given: dict[str, Any] = {}
    chain: dict[str, list[str]] = {}
    for key, value in fields.items():
        word, place = shapes.word(key), f"{path}.{safe(key)}" if fields is entry else path
        if word in shapes.MODELS:
            chain[word] = _take_models(result, place, value)
        elif word == "keywords" and (keywords := shapes.texts_of(value)) is not None:
            given["keywords"] = list(dict.fromkeys(keywords))
        elif word == "description" and isinstance(value, str):
            given["description"] = " ".join(value.split())
        elif word not in ("name", "category"):
            result.not_understood.append(f"{place}: unknown")
    models = [model for word in shapes.MODELS for model in chain.get(word, ())]
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
        model = shapes.model_of(entry)
        _report_rest(result, place, entry)
        if model in result.config.aliases or is_model_id(model):
            models.append(model)
        else:
            result.not_understood.append(f"{place}: neither a known short name nor vendor/model")
    return models


def _report_rest(result: Import, path: str, entry: object) -> None:
    """Say what of a model's entry is left behind, such as a priority: the chain's order counts."""
    if isinstance(entry, dict):
        rest = [key for key in entry if key not in shapes.MODEL_KEYS]
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
