"""Labelled prompts from a file of JSON lines: what `eval` is given."""

from collections.abc import Collection, Iterable, Iterator

import msgspec
from msgspec import Struct

from llm_router.classify.base import Prompt
from llm_router.classify.text import peel
from llm_router.errors import RouterError
from llm_router.routing.near import near_names

TOOLS = "tools"  # a label for requests only: tools are not seen in a text


class BadLine(RouterError):
    """A line that cannot be used; `str()` names the file, the line and what is wrong."""


class Labelled(Struct, frozen=True):
    """`messages` are JSON, as in a request; `lang` and `source` only divide the result."""

    text: str
    label: str
    messages: bytes
    lang: str | None = None
    source: str | None = None
    has_tools: bool = False

    def prompt(self) -> Prompt:
        """Return what the classifier gets of it, as of a request."""
        return peel(self.messages, has_tools=self.has_tools)


class _Request(Struct):
    messages: msgspec.Raw
    tools: list[msgspec.Raw] | None = None


class _Line(Struct):
    label: str
    text: str | None = None
    messages: msgspec.Raw = msgspec.Raw()
    request: _Request | None = None
    lang: str | None = None
    source: str | None = None


_line = msgspec.json.Decoder(_Line)
_messages = msgspec.json.Decoder(list[dict[str, object]])


def read_labelled(lines: Iterable[bytes], name: str, labels: Collection[str]) -> Iterator[Labelled]:
    """Yield each line's prompt; empty lines do not count. Raises BadLine at the first bad one.

    A line is `{"text": "…", "label": "code"}`, optionally with `lang` and `source`; `messages` in
    place of `text` is a whole conversation, `request` a chat body, which may carry tools. Other
    members are not looked at.
    """
    for number, raw in enumerate(lines, 1):
        if raw.strip():
            try:
                yield _labelled(raw, labels)
            except (ValueError, RecursionError, RouterError) as exc:
                raise BadLine(f"{name}, line {number}: {exc}") from None


def _labelled(raw: bytes, labels: Collection[str]) -> Labelled:
    """Raises ValueError or RouterError, in words that follow a file's name and a line."""
    line = _line.decode(raw)
    request = line.request
    has_tools = request is not None and bool(request.tools)
    if line.label not in labels and not (has_tools and line.label == TOOLS):
        near = near_names(line.label, labels)
        hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(labels)}"
        raise ValueError(f"label {line.label[:64]!r} is not a category that a text can get{hint}")
    messages = bytes(line.messages if request is None else request.messages)
    if request is None and (line.text is None) == (not messages):
        raise ValueError("one of text, messages and request is needed")
    if not messages:
        messages = msgspec.json.encode([{"role": "user", "content": line.text}])
    _messages.decode(messages)
    text = peel(messages).text  # said to be ambiguous here, not in the middle of the run
    return Labelled(line.text or text, line.label, messages, line.lang, line.source, has_tools)
