"""What the demo upstream says: words, tool arguments, categories. Pure and deterministic."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from llm_router.demo import directives

_PIECES = re.compile(r"\S+\s*")
_CAPITALISED = re.compile(r"(?<!^)(?<![.!?]\s)\b[A-Z][a-z]+\b")
_WANTS_TOOL = re.compile(
    r"\b(tool|function|weather|search|look up|find|fetch|call|book|send|calculate|convert|schedule"
    r"|get|check|run|read|list)\b",
    re.IGNORECASE,
)

_WORDS = tuple(f"word{i} " for i in range(1_000))

# In this order; the first hit wins.
_RULES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (label, re.compile(rf"\b({words})", re.IGNORECASE))
    for label, words in (
        ("code", r"python|javascript|rust|sql|regex|function|code|bug|compile|script|class\b"),
        ("tools", r"weather|search|look up|book|send|schedule|convert"),
        ("reasoning", r"why|how|explain|prove|compare|analy[sz]e|derive|reason"),
        ("conversation", r"hello|hi\b|hey|thanks|tell me|joke|story"),
    )
)


def clean(text: str) -> str:
    """Return the text without lone surrogates, which real agents send and UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()


def pieces(text: str) -> tuple[str, ...]:
    """Cut a text into what one chunk each carries: a word and the blanks behind it."""
    return tuple(_PIECES.findall(text))


def reply(model: str, text: str) -> str:
    """Return the answer to a prompt; it says that no model wrote it."""
    quoted = directives.without(text)
    if len(quoted) > 120:
        quoted = quoted[:120].rstrip() + "…"
    asked = f' You asked: "{quoted}"' if quoted else ""
    return (
        f"This is a demo: llm-router's embedded upstream wrote this in place of {model}.{asked}"
        " With an OPENROUTER_API_KEY, the model itself would answer here."
    )


def load(chunks: int) -> tuple[str, ...]:
    """Return `chunks` words that a load generator can count."""
    if chunks <= len(_WORDS):
        return _WORDS[:chunks]
    return tuple(f"word{i} " for i in range(chunks))


def thoughts(text: str) -> tuple[str, ...]:
    return pieces(
        f"A demo has no thoughts. The prompt has {len(text)} characters. Answer politely."
    )


def categorise(labels: Sequence[str], text: str) -> str:
    """Choose a label by keywords: a known category's own, then a label named in the text."""
    for label, pattern in _RULES:
        if label in labels and pattern.search(text):
            return label
    lowered = text.lower()
    for label in labels:
        if label.lower() in lowered:
            return label
    return "conversation" if "conversation" in labels else labels[-1]


def is_clear(labels: Sequence[str], text: str) -> bool:
    """Return whether a keyword speaks for one of the labels."""
    return any(label in labels and pattern.search(text) for label, pattern in _RULES)


def fill(schema: Any, text: str) -> Any:
    """Return the plainest value that a JSON Schema accepts; enums are chosen by `categorise`."""
    if not isinstance(schema, Mapping):
        return None
    if "const" in schema:
        return schema["const"]
    if isinstance(options := schema.get("enum"), list) and options:
        if all(isinstance(option, str) for option in options):
            return categorise(options, text)
        return options[0]
    for union in ("anyOf", "oneOf", "allOf"):
        if isinstance(branches := schema.get(union), list) and branches:
            return fill(branches[0], text)
    return _of_type(schema, text)


def _of_type(schema: Mapping[str, Any], text: str) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if kind == "object" or isinstance(schema.get("properties"), Mapping):
        properties = schema.get("properties") or {}
        names = schema.get("required") or list(properties)
        return {name: fill(properties.get(name, {"type": "string"}), text) for name in names}
    if kind == "array":
        return [fill(schema.get("items", {"type": "string"}), text)]
    plain = {"integer": 1, "number": 1.5, "boolean": True, "null": None}
    return plain[kind] if kind in plain else _noun(text)


def _noun(text: str) -> str:
    """Return the last name in the prompt ("Oslo"), which is often what a tool wants."""
    names = _CAPITALISED.findall(directives.without(text))
    return names[-1] if names else "demo"


def enum_of(schema: Any) -> list[str] | None:
    """Return the labels of a schema that asks for one of a closed set, or None."""
    if not isinstance(schema, Mapping):
        return None
    options = schema.get("enum")
    if isinstance(options, list) and options and all(isinstance(o, str) for o in options):
        return options
    properties = schema.get("properties")
    children = properties.values() if isinstance(properties, Mapping) else ()
    return next((labels for child in children if (labels := enum_of(child))), None)


def pick_tool(tools: Any, choice: Any, text: str) -> Mapping[str, Any] | None:
    """Return the function to call: one forced by `tool_choice`, or one the prompt asks for."""
    if not isinstance(tools, list) or choice == "none":
        return None
    functions = [
        function
        for tool in tools
        if isinstance(tool, Mapping) and isinstance(function := tool.get("function"), Mapping)
    ]
    if not functions:
        return None
    if isinstance(choice, Mapping):
        wanted = (choice.get("function") or {}).get("name")
        return next((f for f in functions if f.get("name") == wanted), functions[0])
    named = next((f for f in functions if _mentions(f, text)), None)
    if named is not None or choice == "required" or _WANTS_TOOL.search(text):
        return named or functions[0]
    return None


def _mentions(function: Mapping[str, Any], text: str) -> bool:
    words = re.split(r"[_\W]+", str(function.get("name", "")).lower())
    return any(len(word) > 3 and word in text.lower() for word in words)
