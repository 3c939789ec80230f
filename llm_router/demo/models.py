"""The demo upstream's model list, in the shape of OpenRouter's GET /models.

Prices and windows are close to those OpenRouter listed in 2026; they only need to be plausible.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

_PARAMETERS = (
    *("frequency_penalty", "max_tokens", "presence_penalty", "response_format", "seed", "stop"),
    *("structured_outputs", "temperature", "tool_choice", "tools", "top_p"),
)


@dataclass(frozen=True, slots=True)
class DemoModel:
    """Prices are USD per token, decimal strings as on the wire.

    `reasons`: streams reasoning without being asked. `bills_cancelled`: its provider finishes,
    and charges for, a stream whose client left.
    """

    id: str
    name: str
    provider: str
    slug: str
    prompt: str = "0.000001"
    completion: str = "0.000002"
    cache_read: str | None = None
    context_length: int = 128_000
    max_completion_tokens: int | None = 16_384
    inputs: tuple[str, ...] = ("text",)
    reasons: bool = False
    can_reason: bool = False
    bills_cancelled: bool = False
    parameters: tuple[str, ...] = _PARAMETERS

    @property
    def is_router(self) -> bool:
        """`openrouter/auto` and its like have no price of their own: "-1"."""
        return self.prompt.startswith("-")

    def cost(self, prompt_tokens: int, completion_tokens: int) -> tuple[Decimal, Decimal]:
        """Return what prompt and completion cost in USD."""
        if self.is_router:
            return Decimal(0), Decimal(0)
        return Decimal(self.prompt) * prompt_tokens, Decimal(self.completion) * completion_tokens

    def listing(self) -> dict[str, Any]:
        """Return the model as an element of `data`, with the fields OpenRouter's SDKs require."""
        pricing = {"prompt": self.prompt, "completion": self.completion}
        if self.cache_read is not None:
            pricing["input_cache_read"] = self.cache_read
        reasoning = ("include_reasoning", "reasoning") if self.reasons or self.can_reason else ()
        return {
            "id": self.id,
            "canonical_slug": self.slug,
            "hugging_face_id": None,
            "name": self.name,
            "created": 1_770_000_000,
            "description": "Listed by llm-router's demo upstream; no such model runs here.",
            "context_length": self.context_length,
            "architecture": {
                "modality": "+".join(self.inputs) + "->text",
                "input_modalities": list(self.inputs),
                "output_modalities": ["text"],
                "tokenizer": "Other",
                "instruct_type": None,
            },
            "pricing": pricing,
            "top_provider": {
                "context_length": self.context_length,
                "max_completion_tokens": self.max_completion_tokens,
                "is_moderated": False,
            },
            "per_request_limits": None,
            "supported_parameters": sorted((*self.parameters, *reasoning)),
            "default_parameters": {},
            "supported_voices": None,
            "knowledge_cutoff": None,
            "expiration_date": None,
            "links": {"details": f"/api/v1/models/{self.slug}/endpoints"},
        }


MODELS = (
    DemoModel(
        "openrouter/aurora-alpha",
        "Aurora Alpha",
        provider="Stealth",
        slug="openrouter/aurora-alpha",
        prompt="0",
        completion="0",
        max_completion_tokens=50_000,
        reasons=True,
    ),
    DemoModel(
        "moonshotai/kimi-k2.5",
        "MoonshotAI: Kimi K2.5",
        provider="Moonshot AI",
        slug="moonshotai/kimi-k2.5-0127",
        prompt="0.00000041",
        completion="0.00000206",
        cache_read="0.00000007",
        context_length=262_144,
        inputs=("text", "image"),
        can_reason=True,
        bills_cancelled=True,
    ),
    DemoModel(
        "z-ai/glm-5",
        "Z.ai: GLM 5",
        provider="Z.AI",
        slug="z-ai/glm-5-20260211",
        prompt="0.0000006",
        completion="0.0000019",
        cache_read="0.000000119",
        context_length=202_752,
        max_completion_tokens=131_072,
        can_reason=True,
        bills_cancelled=True,
    ),
    DemoModel(
        "openai/gpt-4o-mini",
        "OpenAI: GPT-4o-mini",
        provider="Azure",
        slug="openai/gpt-4o-mini",
        prompt="0.00000015",
        completion="0.0000006",
        cache_read="0.000000075",
        inputs=("text", "image", "file"),
    ),
    DemoModel(
        "qwen/qwen3-1.7b",
        "Qwen: Qwen3 1.7B",
        provider="DeepInfra",
        slug="qwen/qwen3-1.7b-04-28",
        prompt="0.00000001",
        completion="0.00000004",
        context_length=40_960,
        max_completion_tokens=None,
        can_reason=True,
    ),
    DemoModel(
        "z-ai/glm-4.5-air:free",
        "Z.ai: GLM 4.5 Air (free)",
        provider="Z.AI",
        slug="z-ai/glm-4.5-air",
        prompt="0",
        completion="0",
        context_length=131_072,
        parameters=("max_tokens", "temperature", "top_p"),
    ),
    DemoModel(
        "openrouter/auto",
        "Auto Router",
        provider="OpenAI",
        slug="openrouter/auto",
        prompt="-1",
        completion="-1",
        context_length=2_000_000,
        max_completion_tokens=None,
    ),
)


class ModelList:
    """What the demo lists and serves: the models above and `extra` ids, without those `gone`."""

    def __init__(self, *, gone: Iterable[str] = (), extra: Iterable[DemoModel | str] = ()) -> None:
        self._models = {model.id: model for model in MODELS}
        self._gone: set[str] = set()
        self.add(*extra)
        self.retire(*gone)

    def add(self, *models: DemoModel | str) -> None:
        """Serve further models; a bare id gets made-up prices and everything switched on."""
        for model in models:
            if isinstance(model, str):
                model = DemoModel(model, model, provider="Demo", slug=model)
            self._models[model.id] = model
            self._gone.discard(model.id)

    def retire(self, *ids: str) -> None:
        """List these no longer and answer 404 for them."""
        self._gone.update(ids)

    def find(self, model_id: str) -> DemoModel | None:
        """Return the model of an id or dated slug; variants such as `:nitro` are the same model."""
        for name in (model_id, model_id.partition(":")[0]):
            for model in self._served():
                if name in (model.id, model.slug):
                    return model
        return None

    def is_gone(self, model_id: str) -> bool:
        return model_id in self._gone

    def listing(self) -> dict[str, Any]:
        data = [model.listing() for model in self._served()]
        return {"data": data, "total_count": len(data), "links": {"next": None}}

    def _served(self) -> Iterator[DemoModel]:
        return (model for model in self._models.values() if model.id not in self._gone)
