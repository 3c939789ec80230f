"""The provider's model list as one snapshot: what exists, what it can do, what it costs.

The list is `GET /models` (https://openrouter.ai/docs/api_reference/models). It is read leniently:
an entry that cannot be read is skipped, a field that cannot be read counts as not stated.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from llm_router.routing.near import near_names

# Suffixes that change how a model is served, not which one it is; they are not listed.
# https://openrouter.ai/docs/guides/routing/model-variants
_VIRTUAL_VARIANTS = frozenset({"nitro", "floor", "exacto", "online"})
# Models that choose a model; some appear in the list, some only in the documentation.
_PROVIDER_ROUTERS = frozenset(
    f"openrouter/{name}" for name in ("auto", "auto-beta", "free", "fusion", "pareto-code")
)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One entry of the list; None or an empty set where the provider states nothing.

    `pricing` is in decimal strings, USD per token; `raw` is the entry as it came.
    """

    id: str
    canonical_slug: str
    name: str
    created: int
    context_length: int | None = None
    max_completion_tokens: int | None = None
    input_modalities: frozenset[str] = frozenset()
    output_modalities: frozenset[str] = frozenset()
    supported_parameters: frozenset[str] = frozenset()
    pricing: Mapping[str, object] = field(default_factory=dict)
    raw: Mapping[str, object] = field(default_factory=dict)


class Catalog:
    """One list, or none: then nothing is known and nothing is gone, so every id is tried."""

    __slots__ = ("_by_id", "_by_slug", "fetched_at")

    def __init__(
        self, models: Iterable[ModelInfo] = (), *, fetched_at: float | None = None
    ) -> None:
        """`fetched_at` is in unix seconds, None for no list at all."""
        self.fetched_at = fetched_at
        self._by_id = {model.id: model for model in models}
        # `vendor/model` and `vendor/model:free` share a slug, which then means the first.
        self._by_slug: dict[str, ModelInfo] = {}
        for model in sorted(self._by_id.values(), key=lambda model: ":" in model.id):
            self._by_slug.setdefault(model.canonical_slug, model)

    def __bool__(self) -> bool:
        return bool(self._by_id)

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        return tuple(self._by_id.values())

    def get(self, model_id: str) -> ModelInfo | None:
        """Return what is known of an id: its own entry, or that of the model under a variant."""
        if (model := self._by_id.get(model_id)) is not None or not self._by_id:
            return model
        return self._listed(model_id) or self._listed(_base(model_id))

    def pricing(self, model_id: str) -> Mapping[str, object] | None:
        """Return the list price. A variant with a price of its own has none but its own."""
        model = self._listed(model_id)
        if model is None and _variant(model_id) in _VIRTUAL_VARIANTS:
            model = self._listed(_base(model_id))
        return None if model is None else model.pricing

    def is_gone(self, model_id: str) -> bool:
        """Say whether there is a list and it speaks against the id.

        Of virtual variants, presets, `~vendor/` aliases and OpenRouter's own routers a list says
        nothing, so they are never gone.
        """
        return bool(self._by_id) and _is_telling(model_id) and self.get(model_id) is None

    def gone(self, model_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return those ids that are gone, each with listed ids of similar names."""
        return {id_: self.near(id_) for id_ in sorted(model_ids) if self.is_gone(id_)}

    def near(self, name: str, n: int = 3) -> tuple[str, ...]:
        """Return up to `n` listed ids with a similar name, the most similar first."""
        return near_names(name, self._by_id, n)

    def _listed(self, model_id: str) -> ModelInfo | None:
        return self._by_id.get(model_id) or self._by_slug.get(model_id)


class CatalogHolder:
    """Where the latest list stands; replaced whole, so readers never see a mixture."""

    def __init__(self, current: Catalog | None = None) -> None:
        self.current = Catalog() if current is None else current


def read_models(body: object) -> tuple[ModelInfo, ...]:
    """Return the readable entries of an answer to `GET /models`; none if it has no list."""
    entries = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(entries, list):
        return ()
    return tuple(model for entry in entries if (model := read_model(entry)) is not None)


def read_model(entry: object) -> ModelInfo | None:
    """Return one entry of the list, or None if it does not even have an id."""
    if not isinstance(entry, Mapping):
        return None
    id_ = _text(entry.get("id"))
    if not id_:
        return None
    architecture = _mapping(entry.get("architecture"))
    provider = _mapping(entry.get("top_provider"))
    return ModelInfo(
        id=id_,
        canonical_slug=_text(entry.get("canonical_slug")) or id_,
        name=_text(entry.get("name")) or id_,
        created=_count(entry.get("created")) or 0,
        context_length=_count(entry.get("context_length"))
        or _count(provider.get("context_length")),
        max_completion_tokens=_count(provider.get("max_completion_tokens")),
        input_modalities=_words(architecture.get("input_modalities")),
        output_modalities=_words(architecture.get("output_modalities")),
        supported_parameters=_words(entry.get("supported_parameters")),
        pricing=_mapping(entry.get("pricing")),
        raw=entry,
    )


def _base(model_id: str) -> str:
    return model_id.partition("@preset/")[0].partition(":")[0]


def _variant(model_id: str) -> str:
    return model_id.rpartition(":")[2] if ":" in model_id else ""


def _is_telling(model_id: str) -> bool:
    return not (
        model_id.startswith("~")
        or "@preset/" in model_id
        or model_id in _PROVIDER_ROUTERS
        or _variant(model_id) in _VIRTUAL_VARIANTS
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    """Return a positive whole number; a context of 0 tokens means that none is stated."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 < value < 2**53 else None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _words(value: object) -> frozenset[str]:
    words = value if isinstance(value, list) else ()
    return frozenset(word for word in words if isinstance(word, str))
