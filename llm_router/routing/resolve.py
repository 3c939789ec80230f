"""What the `model` a client sends asks for: a classification, a category, or one model alone."""

from dataclasses import dataclass

from llm_router.errors import ModelNotFound, UnknownCategory
from llm_router.routing.catalog import Catalog
from llm_router.routing.config import RoutingConfig
from llm_router.routing.names import is_model_id, safe
from llm_router.routing.near import did_you_mean, near_names

CLASSIFY_NAMES = ("router", "auto")
_CATEGORY_PREFIX = "router/"

_PRESET_MARK = "@"  # `@preset/slug` stands for settings kept at OpenRouter
_ID_CHARS = 200


@dataclass(frozen=True, slots=True)
class Classify:
    """Find out the category."""


@dataclass(frozen=True, slots=True)
class Forced:
    """The client names the category."""

    category: str


@dataclass(frozen=True, slots=True)
class Direct:
    """The client names the model, by its full id or an alias of it."""

    model_id: str


Resolution = Classify | Forced | Direct

_CLASSIFY = Classify()


def resolve(
    model: str,
    forced_category: str | None,
    config: RoutingConfig,
    catalog: Catalog,
    direct_allowed: bool,
) -> Resolution:
    """Return what the client asks for; `forced_category` is the header and goes first.

    An id of the form vendor/model is taken even if the provider does not list it: variants and
    aliases are not listed. Raises ModelNotFound or UnknownCategory, both with near names.
    """
    if forced_category is not None:
        return Forced(_category(forced_category, config))
    if model in CLASSIFY_NAMES:
        return _CLASSIFY
    if model.startswith(_CATEGORY_PREFIX) and model[len(_CATEGORY_PREFIX) :] in config.categories:
        return Forced(model[len(_CATEGORY_PREFIX) :])
    if model.endswith("/router"):
        return _CLASSIFY
    model_id = config.aliases.get(model)
    if model_id is None:
        if not _may_be_model(model):
            raise _not_found(model, config, catalog)
        model_id = model
    if not direct_allowed:
        raise ModelNotFound(
            "Models cannot be named here (setting models.direct = false); "
            'ask for "router" or "router/<category>".',
            param="model",
            metadata={"near": _category_names(config)},
        )
    return Direct(model_id)


def known_names(config: RoutingConfig, catalog: Catalog) -> list[str]:
    """Return every name that `resolve` takes for sure: categories, aliases, listed ids."""
    listed = (info.id for info in catalog.models)
    return [*CLASSIFY_NAMES, *_category_names(config), *config.aliases, *listed]


def _may_be_model(name: str) -> bool:
    return (
        len(name) <= _ID_CHARS
        and not name.startswith(_CATEGORY_PREFIX)
        and is_model_id(name.removeprefix(_PRESET_MARK))
    )


def no_such_category(name: str, config: RoutingConfig) -> str:
    """Return the message that says so, with what may have been meant."""
    near = near_names(name, config.categories)
    return f"There is no category {safe(name)}.{did_you_mean(near)}"


def _category(name: str, config: RoutingConfig) -> str:
    if name in config.categories:
        return name
    raise UnknownCategory(
        no_such_category(name, config),
        param="x-router-category",
        metadata={"categories": list(config.categories)},
    )


def _not_found(model: str, config: RoutingConfig, catalog: Catalog) -> ModelNotFound:
    near = near_names(model, known_names(config, catalog))
    return ModelNotFound(
        f"There is no model {safe(model)}.{did_you_mean(near)} "
        'Take "router", "router/<category>", an alias or a vendor/model id.',
        param="model",
        metadata={"near": list(near)} if near else None,
    )


def _category_names(config: RoutingConfig) -> list[str]:
    return [_CATEGORY_PREFIX + name for name in config.categories]
