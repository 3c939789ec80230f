"""How the demo upstream is told to misbehave, by a test or by a directive in a prompt.

A prompt carries any number of directives, anywhere in the last user message:

    [[demo fail=openrouter/aurora-alpha:503]]            that model answers 503
    [[demo fail=*:429 retry_after=7]]                    every model does, with Retry-After
    [[demo fail=glm-5,gpt-4o-mini:502 times=2]]          the next two calls with this very prompt
    [[demo model=glm-5 drop=5]]                          a reset after five chunks of the answer
    [[demo fail=*:502 via=event after=3 code=server_error]]   an error event inside the stream
    [[demo stall=headers]]  [[demo stall=0]]  [[demo stall=5]]
    [[demo usage=absent no_done crlf]]

and, outside any brackets, `chunks=100 gap=20`: an answer of 100 chunks, 20 ms apart.
A word alone is a switch; values with blanks stand in double quotes. `Behaviour` lists the words.
Places in an answer are `headers` (before the status line) or a number of chunks with substance
already sent; 0 is after the comments and before the first data event.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

HEADERS = -1

Via = Literal["http", "body", "event"]
Choices = Literal["present", "empty", "none"]
UsageShape = Literal[
    "repeat",  # the finish repeated beside usage, as captured from OpenRouter since 2026
    "empty",  # `choices: []`, as documented
    "blank",  # a choice without a finish, as captured in 2025
    "null",  # like "empty", with `"usage": null` on every other chunk
    "twice",
    "absent",
    "no_cost",
    "negative",
    "huge",
    "text",
]

_DIRECTIVE = re.compile(r"\[\[demo\s([^\]]*)\]\]")
_WORD = re.compile(r'\s*([a-z_]+)(?:=("[^"]*"|\S+))?(?=\s|$)')
_LOAD = re.compile(r"\bchunks=(\d{1,6})(?:\s+gap=(\d{1,6}))?")


class DirectiveError(ValueError):
    """A directive that cannot be understood; `str()` says what is allowed."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What to do with the calls of some models. All defaults together are a healthy answer.

    `model` is an id, the part after its slash, several of both with commas, or `*` for every
    OpenRouter model (Ollama's are hit only by name). `times` limits it to that many calls.
    """

    model: str = "*"
    times: int | None = None

    # An error: `status` in OpenRouter's shape as an HTTP answer, a 200 with an error body, or an
    # event of the stream after `after` chunks. `code` replaces the number inside ("none": no code).
    status: int | None = None
    via: Via = "http"
    after: int = 0
    message: str | None = None
    code: str | int | None = None
    error_type: str | None = None
    retry_after: str | int | None = None
    platform: bool = False  # OpenRouter's own limit, with X-RateLimit-* headers
    choices: Choices = "present"
    html: bool = False  # an HTML page, with `status` or 200

    # Where the answer stops. A stall beats (sends comments) every `beat` ms; without `beat` it
    # beats at 0 only and is silent elsewhere. `stall_ms` or `release` ends it.
    stall: int | None = None
    stall_ms: int | None = None
    beat: int | None = None
    release: asyncio.Event | None = None
    drop: int | None = None  # TCP reset
    close: int | None = None  # FIN without the chunked body's end
    end: int | None = None  # a well-formed end of the body, too early

    # What a stream looks like.
    comments: int | None = None
    role: bool = False  # a role-only chunk before the first with substance
    chunks: int | None = None
    gap: int | None = None  # ms between chunks
    no_finish: bool = False
    no_done: bool = False
    usage: UsageShape = "repeat"
    crlf: bool = False
    bytewise: bool = False
    huge: int | None = None  # one content event with this many bytes of text
    json: bool = False  # a JSON body to a stream request
    insert: bytes | None = None  # raw bytes in the stream after `after` chunks

    # What the answer says.
    empty: bool = False  # a finish without a single token
    text: str | None = None
    finish: str | None = None
    served: str | None = None  # the `model` of the answer
    provider: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def applies_to(self, model: str) -> bool:
        return any(
            name in ("*", model) or model.endswith("/" + name) for name in self.model.split(",")
        )

    def names(self, model: str) -> bool:
        """Like `applies_to`, without the wildcard."""
        return self.model != "*" and self.applies_to(model)

    @property
    def is_streamed_error(self) -> bool:
        return self.status is not None and self.via == "event"


HEALTHY = Behaviour()


def parse(text: str) -> tuple[Behaviour, ...]:
    """Return the behaviours a prompt asks for, in its order; raise DirectiveError."""
    if "[[demo" not in text:
        return ()
    return tuple(_behaviour(match[1]) for match in _DIRECTIVE.finditer(text))


def load(text: str) -> tuple[int, int] | None:
    """Return (chunks, gap in ms) of a load generator's `chunks=100 gap=20`."""
    if "chunks=" not in text or (match := _LOAD.search(text)) is None:
        return None
    return int(match[1]), int(match[2] or 0)


def strip(text: str) -> str:
    """Return the prompt without its directives, as it is quoted in answers."""
    return _DIRECTIVE.sub("", text).strip()


def _behaviour(words: str) -> Behaviour:
    facts: dict[str, Any] = {}
    at = 0
    while at < len(words.rstrip()):
        match = _WORD.match(words, at)
        if match is None:
            raise DirectiveError(f"cannot read {words[at:].strip()!r}; a directive is word=value …")
        at = match.end()
        facts |= _fact(match[1], match[2])
    return Behaviour(**facts)


def _fact(name: str, value: str | None) -> dict[str, Any]:
    read = _READERS.get(name)
    if read is None:
        raise DirectiveError(f"unknown word {name!r}; there are {', '.join(sorted(_READERS))}")
    if (value is None) is not (name in _SWITCHES):
        raise DirectiveError(f"{name!r} {'takes no' if value else 'needs a'} value")
    try:
        return read((value or "").strip('"'))
    except ValueError as exc:
        raise DirectiveError(f"{name}={value}: {exc}") from exc


def _fail(value: str) -> dict[str, Any]:
    # Ids may hold colons themselves (`:free`), so the last one counts.
    model, colon, status = value.rpartition(":")
    if not colon:
        raise ValueError("expected MODEL:STATUS")
    return {"model": model, "status": _status(status)}


def _status(value: str) -> int:
    status = int(value)
    if not 200 <= status <= 599:
        raise ValueError("expected an HTTP status")
    return status


def _place(value: str) -> int:
    return HEADERS if value == "headers" else _natural(value)


def _natural(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise ValueError("expected a number")
    return int(value)


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"expected one of {', '.join(allowed)}")
        return value

    return read


_PLACES = ("stall", "drop", "close")
_NUMBERS = (
    *("times", "after", "end", "stall_ms", "beat"),
    *("comments", "chunks", "gap", "huge"),
)
_TEXTS = (
    *("model", "message", "code", "error_type", "retry_after"),
    *("text", "finish", "served", "provider"),
)
_SWITCHES = frozenset(f.name for f in fields(Behaviour) if f.type is bool)


def _readers() -> dict[str, Callable[[str], dict[str, Any]]]:
    plain: dict[str, Callable[[str], object]] = {
        **dict.fromkeys(_PLACES, _place),
        **dict.fromkeys(_NUMBERS, _natural),
        **dict.fromkeys(_TEXTS, str),
        **dict.fromkeys(_SWITCHES, lambda _: True),
        "status": _status,
        "via": _one_of(*get_args(Via)),
        "choices": _one_of(*get_args(Choices)),
        "usage": _one_of(*get_args(UsageShape)),
    }
    readers = {name: _reader(name, read) for name, read in plain.items()}
    # `break_after=5` says the same as `drop=5`.
    return {**readers, "fail": _fail, "break_after": _reader("drop", _place)}


def _reader(name: str, read: Callable[[str], object]) -> Callable[[str], dict[str, Any]]:
    return lambda value: {name: read(value)}


_READERS = _readers()
