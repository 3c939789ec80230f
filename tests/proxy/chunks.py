"""Pieces of a stream as OpenRouter writes them."""

import json
from typing import Any

from hypothesis import strategies as st

MODEL = "z-ai/glm-5"
ID = "gen-1767661749-Ot82GxmBb3KHB9UFhSnd"
USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 10,
    "total_tokens": 19,
    "cost": 0.00000735,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
COST_NANOUSD = 7350

COMMENT = b": OPENROUTER PROCESSING\n\n"
DONE = b"data: [DONE]\n\n"


def event(**facts: Any) -> bytes:
    body = {"id": ID, "object": "chat.completion.chunk", "model": MODEL, "provider": "Parasail"}
    return b"data: " + json.dumps({**body, **facts}, separators=(",", ":")).encode() + b"\n\n"


def choice(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish}


def delta(finish: str | None = None, index: int = 0, **fields: Any) -> bytes:
    return event(choices=[choice(fields, finish, index)])


def content(text: str, index: int = 0) -> bytes:
    return delta(role="assistant", content=text, index=index)


def finish(reason: str = "stop", index: int = 0) -> bytes:
    return delta(reason, role="assistant", content="", index=index)


def usage(**facts: Any) -> bytes:
    """The usage chunk as documented: no choices."""
    return event(choices=[], usage={**USAGE, **facts})


ROLE = delta(role="assistant", content="")
HELLO = content("Hello") + content(" there, caf\u00e9 \U0001f600")
WHOLE = COMMENT + ROLE + COMMENT + HELLO + finish() + usage() + DONE


def objects(keys: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Any JSON object, mostly with the keys that somebody looks at."""
    leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    name = st.sampled_from(keys) | st.text(max_size=3)
    value = st.recursive(
        leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(name, inner, max_size=4)
    )
    return st.dictionaries(name, value, max_size=6)
