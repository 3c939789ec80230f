"""The bytes that the fake upstream answers with, which the load generator expects to the byte."""

import json
from typing import Any

EVENTS_AT_HAND = 1000
MARK = b'"delta"'  # stands once in every chunk that a stream counts

_MODELS = (
    "z-ai/glm-5",
    "openrouter/aurora-alpha",
    "moonshotai/kimi-k2.5",
    "openai/gpt-4o-mini",
    "qwen/qwen3-1.7b",
)
_FACTS = {
    "id": "gen-1772500000-BenchmarkBenchmark00",
    "provider": "Benchmark",
    "model": "z-ai/glm-5",
    "created": 1_772_500_000,
}
_USAGE = {
    "prompt_tokens": 40,
    "completion_tokens": 100,
    "total_tokens": 140,
    "cost": 0.0012,
    "prompt_tokens_details": {"cached_tokens": 0},
    "cost_details": {"upstream_inference_cost": None},
    "completion_tokens_details": {"reasoning_tokens": 0},
}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _event(text: str, finish: str | None = None) -> bytes:
    delta = {"role": "assistant", "content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    return _data({"object": "chat.completion.chunk", "choices": [choice]})


def _data(facts: dict[str, Any]) -> bytes:
    return b"data: " + _json(_FACTS | facts) + b"\n\n"


def _completion(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return _json(_FACTS | {"object": "chat.completion", "choices": [choice], "usage": _USAGE})


PLAIN = _completion(" ".join(f"word{number}" for number in range(100)))
LABEL = _completion('{"category":"reasoning"}')
EVENTS = tuple(_event(f" token{number:03d}") for number in range(EVENTS_AT_HAND))
END = (
    _event("", "stop")
    + _data({"object": "chat.completion.chunk", "choices": [], "usage": _USAGE})
    + b"data: [DONE]\n\n"
)
MODELS = _json(
    {
        "data": [
            {
                "id": name,
                "name": name,
                "context_length": 200_000,
                "pricing": {"prompt": "0.000001", "completion": "0.000003"},
            }
            for name in _MODELS
        ]
    }
)


def stream(chunks: int) -> bytes:
    """Return the whole body of a stream of so many chunks with text."""
    return b"".join(EVENTS[number % EVENTS_AT_HAND] for number in range(chunks)) + END
