"""What the demo upstream answers, before the answer has a form. Pure, and the same every time."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from llm_router.demo import content
from llm_router.demo.ask import Ask
from llm_router.demo.behaviour import HEALTHY, Behaviour
from llm_router.demo.models import DemoModel

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer before it has a form. `pieces` and `reasoning` are one chunk each."""

    id: str
    created: int
    model: DemoModel
    served: str
    provider: str
    pieces: tuple[str, ...]
    reasoning: tuple[str, ...] = ()
    tool_call: ToolCall | None = None
    finish: str = "stop"
    prompt_tokens: int = 0
    is_streaming: bool = False
    shape: Behaviour = field(default=HEALTHY)

    @property
    def completion_tokens(self) -> int:
        called = 0 if self.tool_call is None else 8 + len(self.tool_call.arguments) // 4
        return len(self.pieces) + len(self.reasoning) + called

    def price_usd(self, tokens: int) -> tuple[Decimal, Decimal]:
        """Return what the prompt and so many tokens cost; without a token nothing is charged."""
        return self.model.cost(self.prompt_tokens, tokens) if tokens else (Decimal(0), Decimal(0))


def compose(ask: Ask, model: DemoModel, behaviour: Behaviour) -> Answer:
    """Answer a request the same way every time."""
    digest = hashlib.blake2b(ask.body, digest_size=32).digest()
    created = 1_770_000_000 + int.from_bytes(digest[:4], "big") % 10_000_000
    token = "".join(_ALPHABET[byte % 62] for byte in digest[4:24])
    pieces, reasoning, call = _substance(ask, model, behaviour, token)
    return Answer(
        id=f"gen-{created}-{token}",
        created=created,
        model=model,
        served=behaviour.served or model.id,
        provider=behaviour.provider or model.provider,
        pieces=pieces,
        reasoning=reasoning,
        tool_call=call,
        finish=behaviour.finish or ("tool_calls" if call else "stop"),
        prompt_tokens=max(1, len(ask.body) // 4),
        is_streaming=ask.is_streaming,
        shape=behaviour,
    )


def _substance(
    ask: Ask, model: DemoModel, behaviour: Behaviour, token: str
) -> tuple[tuple[str, ...], tuple[str, ...], ToolCall | None]:
    if behaviour.empty:
        return (), (), None
    if behaviour.text is not None:
        return content.pieces(behaviour.text), (), None
    if behaviour.huge is not None:
        return ("x" * behaviour.huge,), (), None
    if ask.schema is not None:
        return (json.dumps(content.fill(ask.schema, ask.text)),), (), None
    if behaviour.chunks is not None:
        return content.load(behaviour.chunks), (), None
    reasoning = content.thoughts(ask.text) if _reasons(ask, model) else ()
    if (function := _tool(ask)) is not None:
        arguments = json.dumps(content.fill(function.get("parameters") or {}, ask.text) or {})
        name = content.clean(str(function.get("name", "")))
        return (), reasoning, ToolCall(f"call_{token[:12]}", name, arguments)
    if isinstance(form := ask.raw.get("response_format"), Mapping) and form.get("type") == (
        "json_object"
    ):
        return (json.dumps({"demo": True, "answer": content.reply(model.id, ask.text)}),), (), None
    return content.pieces(content.reply(model.id, ask.text)), reasoning, None


def _tool(ask: Ask) -> Mapping[str, Any] | None:
    messages = ask.raw.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    if isinstance(last, dict) and last.get("role") == "tool":
        return None
    return content.pick_tool(ask.raw.get("tools"), ask.raw.get("tool_choice"), ask.text)


def _reasons(ask: Ask, model: DemoModel) -> bool:
    wish = ask.raw.get("reasoning")
    effort = ask.raw.get("reasoning_effort")
    if isinstance(wish, Mapping):
        if wish.get("exclude") or wish.get("enabled") is False:
            return False
        effort = wish.get("effort", effort)
        if effort != "none" and (model.reasons or model.can_reason):
            return True
    if effort == "none":
        return False
    return model.reasons or (effort is not None and model.can_reason)
