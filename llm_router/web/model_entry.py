"""One entry of GET /v1/models, in a shape that the SDKs of OpenAI and OpenRouter both accept.

A name that stands for a chain promises what every candidate can do: the shortest context, the
parameters and modalities that all have. Its price is that of its first candidate, which answers
unless something is wrong. What has no price of its own says "-1", as OpenRouter writes it for its
own routers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_router.routing.catalog import ModelInfo

_NO_PRICE = {"prompt": "-1", "completion": "-1"}


@dataclass(frozen=True, slots=True)
class Offer:
    """A name that a client may send, and the full ids of what may answer, best first."""

    id: str
    name: str
    description: str
    model_ids: tuple[str, ...]
    priced_as: str | None = None
    owner: str = "llm-router"


def model_entry(
    offer: Offer, models: Sequence[ModelInfo], pricing: Mapping[str, object] | None
) -> dict[str, Any]:
    """Return OpenAI's fields and OpenRouter's. `models` are those of the offer that are known.

    https://platform.openai.com/docs/api-reference/models/object
    https://openrouter.ai/docs/api_reference/models
    """
    context = min((m.context_length for m in models if m.context_length), default=None)
    longest = (m.max_completion_tokens for m in models if m.max_completion_tokens)
    inputs = _modalities(m.input_modalities for m in models)
    outputs = _modalities(m.output_modalities for m in models)
    only = models[0] if len(offer.model_ids) == len(models) == 1 else None
    return {
        "id": offer.id,
        "object": "model",
        "created": max((m.created for m in models), default=0),
        "owned_by": offer.owner,
        "canonical_slug": only.canonical_slug if only else offer.id,
        "name": offer.name,
        "description": offer.description,
        "context_length": context,
        "architecture": {
            "modality": f"{'+'.join(inputs)}->{'+'.join(outputs)}",
            "input_modalities": inputs,
            "output_modalities": outputs,
            "tokenizer": _tokenizer(only) if only else "Router",
            "instruct_type": None,
        },
        "pricing": _complete(pricing),
        "top_provider": {
            "context_length": context,
            "max_completion_tokens": min(longest, default=None),
            "is_moderated": any(_is_moderated(m) for m in models),
        },
        "per_request_limits": None,
        "supported_parameters": sorted(_shared(m.supported_parameters for m in models)),
        "default_parameters": {},
        "supported_voices": None,
        "knowledge_cutoff": _earliest(models, "knowledge_cutoff"),
        "expiration_date": _earliest(models, "expiration_date"),
        "links": {"details": f"/v1/models/{offer.id}"},
    }


def _complete(pricing: Mapping[str, object] | None) -> dict[str, object]:
    if pricing is None or not all(isinstance(pricing.get(key), str) for key in _NO_PRICE):
        return dict(_NO_PRICE)
    return dict(pricing)


def _shared(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    """Return what every set has. An empty one states nothing and takes nothing away."""
    stated = [words for words in sets if words]
    return frozenset.intersection(*stated) if stated else frozenset()


def _modalities(sets: Iterable[frozenset[str]]) -> list[str]:
    return sorted(_shared(sets) or {"text"}, key=lambda word: (word != "text", word))


def _tokenizer(model: ModelInfo) -> str:
    architecture = model.raw.get("architecture")
    tokenizer = architecture.get("tokenizer") if isinstance(architecture, Mapping) else None
    return tokenizer if isinstance(tokenizer, str) else "Other"


def _is_moderated(model: ModelInfo) -> bool:
    provider = model.raw.get("top_provider")
    return isinstance(provider, Mapping) and provider.get("is_moderated") is True


def _earliest(models: Sequence[ModelInfo], key: str) -> str | None:
    """Return the first of the models' ISO dates: from then on not every candidate holds."""
    return min((date for m in models if isinstance(date := m.raw.get(key), str)), default=None)
