"""A chunk of a stream, or a whole answer: what they have in common, read leniently."""

import json
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from llm_router.ledger.cost import Usage

NAME_CHARS = 256

_SUBSTANCE = frozenset(
    (
        *("content", "reasoning", "reasoning_content", "reasoning_details", "refusal"),
        *("tool_calls", "function_call", "images", "audio"),
    )
)


def decode_object(data: bytes) -> dict[str, Any] | None:
    """Return a JSON object; None for anything else."""
    try:
        value = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        value = _decode_leniently(data)
    return value if isinstance(value, dict) else None


def _decode_leniently(data: bytes) -> object:
    """Take half a surrogate pair: providers cut an emoji in two, and clients join the halves."""
    try:
        return json.loads(data.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def choices_of(chunk: Mapping[str, Any]) -> list[dict[str, Any]]:
    choices = chunk.get("choices")
    return [c for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []


def error_in(chunk: Mapping[str, Any], choices: list[dict[str, Any]]) -> object:
    """Return the error that a chunk or one of its choices holds, if any."""
    if error := chunk.get("error"):
        return error
    for choice in choices:
        if error := choice.get("error"):
            return error
    return None


def has_substance(choice: Mapping[str, Any]) -> bool:
    delta = choice.get("delta") or choice.get("message")
    if isinstance(delta, dict):
        for key, value in delta.items():
            if value and key in _SUBSTANCE:
                return True
    return bool(choice.get("text"))


def says_nothing(reasons: Collection[object], usage: Usage) -> bool:
    """Whether an answer without substance that finished for these reasons is empty.

    It is not where a filter took it away, or its tokens went into thoughts that are not shown. A
    count of tokens alone says nothing: many servers count the one that ends an answer.
    """
    is_hidden = usage.completion_tokens and (usage.reasoning_tokens or "length" in reasons)
    return not is_hidden and "content_filter" not in reasons


def printable(value: object) -> str | None:
    return value[:NAME_CHARS] if isinstance(value, str) and value.isprintable() else None
