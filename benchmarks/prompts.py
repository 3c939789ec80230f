"""Chat requests, no two alike: a router that remembers decisions gains nothing from that here."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Literal

Kind = Literal["clear", "mixed"]

# The local classifier is certain about the clear ones. Doubtful ones make a hybrid router ask.
_CLEAR = (
    "Write a python function that sorts a list of {} by {}",
    "Why does a {} need a {}? Explain it step by step.",
    "Fix the bug in this code: for {0} in {1}: print({0}.{1})",
    "Hello my friend, thank you, I am so happy today! Do you like my {} and your {}?",
)
_DOUBTFUL = ("The {} and the {}, but shorter please",)
_NOUNS = """
    apple anchor bridge candle copper desert engine forest garden harbour island jacket kettle
    ladder mirror needle orchid planet quartz rocket saddle temple umbrella violin window
"""
_FILLER = (
    ("user", "lorem ipsum dolor sit amet " * 37),
    ("assistant", 'def f(x):\n\treturn "x"\n' * 45),
)
_PLACE = "@@@@@@@@"


@dataclass(frozen=True, slots=True)
class Shape:
    """What the requests of one measurement look like."""

    is_stream: bool = False
    chunks: int = 100
    gap_ms: int = 0
    body_kb: int = 0
    prompts: Kind = "clear"


def requests(host: str, path: str, shape: Shape) -> Iterator[bytes]:
    """Yield whole HTTP requests for ever, each with a prompt of its own."""
    forms = list(_forms(host, path, shape))
    for number in count():
        before, after = forms[number % len(forms)]
        yield b"%b%08d%b" % (before, number, after)


def _forms(host: str, path: str, shape: Shape) -> Iterator[tuple[bytes, bytes]]:
    asks = _CLEAR + _DOUBTFUL if shape.prompts == "mixed" else _CLEAR
    words = _NOUNS.split()
    # Long bodies are few: what matters in them is their size, and each is kept in memory.
    for number in range(20 if shape.body_kb else 500):
        nouns = words[number % len(words)], words[number * 7 // 3 % len(words)]
        prompt = asks[number % len(asks)].format(*nouns)
        body = _body(f"{prompt} (no. {_PLACE}, {_order(shape)})", shape)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer benchmark\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        before, _, after = (head.encode() + body).partition(_PLACE.encode())
        yield before, after


def _order(shape: Shape) -> str:
    return f"chunks={shape.chunks} gap={shape.gap_ms}"


def _body(prompt: str, shape: Shape) -> bytes:
    messages = [("system", "You are a helpful assistant.")]
    messages += list(_FILLER) * (shape.body_kb // 2)
    messages.append(("user", prompt))
    body = {
        "model": "router",
        "messages": [{"role": role, "content": text} for role, text in messages],
        "temperature": 0.7,
    }
    if shape.is_stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body).encode()
