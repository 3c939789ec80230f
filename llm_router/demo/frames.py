"""An answer in OpenRouter's shapes: a JSON body, or the events of a stream. Pure.

They are those of OpenRouter's API reference and of captured traffic: `role` and `content` stand on
every chunk, `usage.cost` is a number in USD, ids are `gen-<unix seconds>-<20 characters>`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from llm_router.demo.answers import Answer, ToolCall

DONE = b"data: [DONE]\n\n"
COMMENT = b": OPENROUTER PROCESSING\n\n"

_encode = msgspec.json.encode


def usage(answer: Answer) -> dict[str, Any]:
    """Return the usage object, or what the behaviour wants in its place."""
    prompt_usd, completion_usd = answer.price_usd(answer.completion_tokens)
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
    return _encode(facts)


def _head(answer: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": answer.id,
        "object": kind,
        "created": answer.created,
        "model": answer.served,
        "provider": answer.provider,
        "system_fingerprint": "fp_demo",
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


def count(answer: Answer) -> int:
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
    return b"data: " + _encode(facts) + b"\n\n"
