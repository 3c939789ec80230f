"""What OpenRouter would send: an answer's JSON body, its chunks, its usage, its errors. Pure.

The shapes are those of OpenRouter's API reference and of captured traffic: `role` and `content`
stand on every chunk, `usage.cost` is a number in USD, ids are `gen-<unix seconds>-<20 characters>`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from llm_router.demo import content, directives
from llm_router.demo.directives import Behaviour
from llm_router.demo.models import DemoModel

DONE = b"data: [DONE]\n\n"
COMMENT = b": OPENROUTER PROCESSING\n\n"

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_encode = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Ask:
    """What a chat request asks for; lenient, since odd bodies are part of the tests."""

    model: Any
    text: str
    is_streaming: bool
    body: bytes
    raw: Mapping[str, Any]

    @property
    def schema(self) -> Any:
        form = self.raw.get("response_format")
        if not isinstance(form, Mapping) or form.get("type") != "json_schema":
            return None
        return (form.get("json_schema") or {}).get("schema")

    @property
    def is_classification(self) -> bool:
        """A closed set of labels to choose from, as the router's own classifier asks."""
        return content.enum_of(self.schema) is not None


def read(body: bytes) -> Ask | None:
    """Return what a chat body asks for, or None if it is not a JSON object."""
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(raw, dict):
        return None
    text = last_user_text(raw.get("messages"))
    return Ask(raw.get("model"), text, raw.get("stream") is True, body, raw)


def last_user_text(messages: Any) -> str:
    """Return the text of the last user message, its text parts joined."""
    for message in reversed(messages) if isinstance(messages, list) else ():
        if isinstance(message, dict) and message.get("role") == "user":
            return _text(message.get("content"))
    return ""


def _text(value: Any) -> str:
    if isinstance(value, list):
        parts = (part.get("text") for part in value if isinstance(part, dict))
        return "\n".join(part for part in parts if isinstance(part, str))
    return value if isinstance(value, str) else ""


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
    shape: Behaviour = field(default=directives.HEALTHY)

    @property
    def completion_tokens(self) -> int:
        called = 0 if self.tool_call is None else 8 + len(self.tool_call.arguments) // 4
        return len(self.pieces) + len(self.reasoning) + called

    def cost_usd(self, completion_tokens: int) -> Decimal:
        """Return the price of the prompt and of so many tokens."""
        return sum(self.model.cost(self.prompt_tokens, completion_tokens), Decimal(0))


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
        name = str(function.get("name", ""))
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


def usage(answer: Answer) -> dict[str, Any]:
    """Return the usage object, or what the behaviour wants in its place."""
    prompt_usd, completion_usd = answer.model.cost(answer.prompt_tokens, answer.completion_tokens)
    cost = float(prompt_usd + completion_usd)
    facts: dict[str, Any] = {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
        "cost": cost,
        "is_byok": False,
        "prompt_tokens_details": {
            "cached_tokens": 0,
            "cache_write_tokens": 0,
            "audio_tokens": 0,
            "video_tokens": 0,
        },
        "cost_details": {
            "upstream_inference_cost": cost,
            "upstream_inference_prompt_cost": float(prompt_usd),
            "upstream_inference_completions_cost": float(completion_usd),
        },
        "completion_tokens_details": {
            "reasoning_tokens": len(answer.reasoning),
            "image_tokens": 0,
            "audio_tokens": 0,
        },
    }
    facts |= _ODD.get(answer.shape.usage, {})
    if answer.shape.usage == "no_cost":
        return {k: v for k, v in facts.items() if k not in ("cost", "cost_details")}
    return facts


_ODD: dict[str, dict[str, Any]] = {
    "negative": {"prompt_tokens": -5, "completion_tokens": -1, "cost": -0.5},
    "huge": {"prompt_tokens": 10**30, "completion_tokens": 2**63, "cost": 1e30},
    "text": {"prompt_tokens": "12", "completion_tokens": "many", "cost": "cheap"},
}


def body(answer: Answer) -> bytes:
    """Return the whole answer to a request that does not stream."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(answer.pieces) if answer.tool_call is None else None,
        "refusal": None,
        "reasoning": "".join(answer.reasoning) or None,
    }
    if answer.reasoning:
        message["reasoning_details"] = [_detail(message["reasoning"])]
    if answer.tool_call is not None:
        message["tool_calls"] = [_call(answer.tool_call, answer.tool_call.arguments)]
    finish = None if answer.shape.no_finish else answer.finish
    facts = _head(answer, "chat.completion") | {
        "choices": [
            {
                "index": 0,
                "logprobs": None,
                "finish_reason": finish,
                "native_finish_reason": finish,
                "message": message,
            }
        ]
    }
    if answer.shape.usage == "null":
        facts["usage"] = None
    elif answer.shape.usage != "absent":
        facts["usage"] = usage(answer)
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()


def _head(answer: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": answer.id,
        "object": kind,
        "created": answer.created,
        "model": answer.served,
        "provider": answer.provider,
    }


def _detail(text: str) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}


def _call(call: ToolCall, arguments: str) -> dict[str, Any]:
    function = {"name": call.name, "arguments": arguments}
    return {"index": 0, "id": call.id, "type": "function", "function": function}


def role_chunk(answer: Answer) -> bytes:
    return _Frame(answer).text("")


def chunks(answer: Answer) -> list[bytes]:
    """Return the events with substance, in order: reasoning, a tool call, content."""
    frame = _Frame(answer)
    events = [frame.reasoning(piece) for piece in answer.reasoning]
    if (call := answer.tool_call) is not None:
        half = len(call.arguments) // 2
        events.append(frame.tool(_call(call, "")))
        for part in (call.arguments[:half], call.arguments[half:]):
            events.append(frame.tool({"index": 0, "function": {"arguments": part}}))
    events.extend(frame.text(piece) for piece in answer.pieces)
    return events


def chunk_count(answer: Answer) -> int:
    """Return how many events with substance `chunks` makes."""
    return len(answer.reasoning) + len(answer.pieces) + (3 if answer.tool_call else 0)


def tail(answer: Answer) -> list[bytes]:
    """Return what ends a stream: the finish, the usage in its many shapes, `[DONE]`."""
    shape = answer.shape
    frame = _Frame(answer)
    events = [] if shape.no_finish else [frame.event(_choice("", answer.finish))]
    if shape.usage != "absent":
        finish = None if shape.no_finish or shape.usage == "blank" else answer.finish
        is_bare = shape.usage in ("empty", "null")
        choices = [] if is_bare else [_choice("", finish)]
        event = _event(_head(answer, "chat.completion.chunk"), choices, usage=usage(answer))
        events.extend([event] * (2 if shape.usage == "twice" else 1))
    return events if shape.no_done else [*events, DONE]


class _Frame:
    """Encodes the chunks of one answer around parts that were encoded once."""

    def __init__(self, answer: Answer) -> None:
        head = _encode(_head(answer, "chat.completion.chunk"))[:-1]
        self._start = b"data: " + head + b',"choices":['
        self._stop = b'],"usage":null}\n\n' if answer.shape.usage == "null" else b"]}\n\n"
        # The content is last in `delta` so that only it differs between chunks.
        before, after = _encode(_choice("\0", None)).split(_encode("\0"))
        self._text_start = self._start + before
        self._text_stop = after + self._stop

    def text(self, piece: str) -> bytes:
        return self._text_start + _encode(piece) + self._text_stop

    def reasoning(self, piece: str) -> bytes:
        details = [_detail(piece)]
        return self.event(_choice("", None, reasoning=piece, reasoning_details=details))

    def tool(self, call: Mapping[str, Any]) -> bytes:
        return self.event(_choice(None, None, tool_calls=[call]))

    def event(self, choice: Mapping[str, Any]) -> bytes:
        return self._start + _encode(choice) + self._stop


def _choice(text: str | None, finish: str | None, **delta: Any) -> dict[str, Any]:
    return {
        "index": 0,
        "delta": {"role": "assistant", "content": text, **delta},
        "finish_reason": finish,
        "native_finish_reason": finish,
        "logprobs": None,
    }


def _event(head: Mapping[str, Any], choices: Sequence[Any], **more: Any) -> bytes:
    facts = {**head, "choices": choices, **more}
    return b"data: " + json.dumps(facts, separators=(",", ":")).encode() + b"\n\n"
