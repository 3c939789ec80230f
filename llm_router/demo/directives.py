"""How the demo upstream is told to misbehave, by a test or by a directive in a prompt.

A prompt carries any number of directives, anywhere in the last user message:

    [[demo fail=openrouter/aurora-alpha:503]]            that model answers 503
    [[demo fail=*:429 retry_after=7]]                    every model does, with Retry-After
    [[demo fail=glm-5,gpt-4o-mini:502 times=2]]          the next two calls with this very prompt
    [[demo model=glm-5 drop=5]]                          a reset after five chunks of the answer
    [[demo break_after=5]]                               the same for every model
    [[demo fail=*:502 via=event after=3 code=server_error]]   an error event inside the stream
    [[demo stall=headers]]  [[demo stall=0]]  [[demo stall=5]]
    [[demo usage=absent no_done crlf]]

and, outside any brackets, `chunks=100 gap=20`: an answer of 100 chunks, 20 ms apart.
A word alone is a switch; values with blanks stand in double quotes. The words are the fields of
`Behaviour`, and `fail=` and `break_after=` as above; a place is `headers` or a number of chunks.
"""

import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_args

from llm_router.demo.behaviour import HEADERS, Behaviour, Choices, UsageShape, Via

_DIRECTIVE = re.compile(r"\[\[demo\s([^\]]*)\]\]")
_WORD = re.compile(r'\s*([a-z_]+)(?:=("[^"]*"|\S+))?(?=\s|$)')
_LOAD = re.compile(r"\bchunks=(\d{1,6})(?:\s+gap=(\d{1,6}))?")


class DirectiveError(ValueError):
    """A directive that cannot be understood; `str()` says what is allowed."""


def parse(text: str) -> tuple[Behaviour, ...]:
    """Return the behaviours a prompt asks for, in its order; raise DirectiveError."""
    if "[[demo" not in text:
        return ()
    return tuple(_behaviour(match[1]) for match in _DIRECTIVE.finditer(text))


def load(text: str) -> tuple[int, int | None] | None:
    """Return (chunks, gap in ms) of a load generator's `chunks=100 gap=20`."""
    if "chunks=" not in text or (match := _LOAD.search(text)) is None:
        return None
    return int(match[1]), None if match[2] is None else int(match[2])


def without(text: str) -> str:
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
