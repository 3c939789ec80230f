"""What a chat request asks for, read as leniently as OpenRouter does: odd bodies are tests, too."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from llm_router.demo import content


@dataclass(frozen=True, slots=True)
class Ask:
    """`text` is that of the last user message; `raw` is the whole body, decoded."""

    model: str
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
    """Return what a chat body asks for, or None if it is not one that names a model."""
    try:
        raw = _decode(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(raw, dict) or not isinstance(raw.get("model"), str):
        return None
    text = last_user_text(raw.get("messages"))
    return Ask(raw["model"], text, raw.get("stream") is True, body, raw)


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        # Stricter than OpenRouter: NaN and lone surrogates, for example, get through there.
        return json.loads(body)


def last_user_text(messages: Any) -> str:
    """Return the text of the last user message, its text parts joined."""
    for message in reversed(messages) if isinstance(messages, list) else ():
        if isinstance(message, dict) and message.get("role") == "user":
            return content.clean(_text(message.get("content")))
    return ""


def _text(value: Any) -> str:
    if isinstance(value, list):
        parts = (part.get("text") for part in value if isinstance(part, dict))
        return "\n".join(part for part in parts if isinstance(part, str))
    return value if isinstance(value, str) else ""
