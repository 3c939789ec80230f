"""A chat request body: what routing reads of it, and the bytes that go upstream.

Only the members named here are interpreted. All others, and the messages too, travel as the bytes
that came, in their order: OpenRouter's response cache keys on property order, and reasoning details
must be replayed unmodified.
"""

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec

from llm_router.errors import InvalidRequest
from llm_router.members import DuplicateMember, MalformedJson, locate, members, read_object, values
from llm_router.routing.chain import Needs
from llm_router.settings import UpstreamSettings

Piece = bytes | memoryview

# English prose has about four bytes a token, code and JSON fewer. A candidate is left out for its
# context only when even this low estimate does not fit; upstream decides the rest.
BYTES_PER_TOKEN = 6
_SURELY_FITS = 256 * 1024
_MEDIA = (b";base64,", b'"image_url"', b'"input_audio"')
_SOME_LIST = re.compile(rb"\[[ \t\r\n]*[^ \t\r\n\]]")
_TOOLS = frozenset({"tools", "functions"})
# By the settings [upstream] models_field and provider_field.
_DROPPED = {
    ("drop", "pass"): frozenset({"models", "route"}),
    ("drop", "drop"): frozenset({"models", "route", "provider"}),
    ("pass", "drop"): frozenset({"provider"}),
    ("pass", "pass"): frozenset[str](),
}


class _Format(msgspec.Struct):
    type: str = ""


# Beyond it JSON's numbers mean different things to different readers (RFC 8259, section 6).
_MOST = 2**53 - 1
_Tokens = Annotated[int, msgspec.Meta(ge=0, le=_MOST)] | None


class _Read(msgspec.Struct):
    """What is read of a body beside its lists; null is as good as nothing."""

    model: str | None = None
    stream: bool | None = None
    session_id: str | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=_MOST)] | None = None
    max_tokens: _Tokens = None
    max_completion_tokens: _Tokens = None
    response_format: _Format | None = None


_DECODE = {f.name: msgspec.json.Decoder(f.type).decode for f in msgspec.structs.fields(_Read)}
_ALLOWED = {
    "model": "a string",
    "stream": "true or false",
    "session_id": "a string",
    "n": "a whole number from 1 to 2^53 - 1",
    "max_tokens": "a whole number from 0 to 2^53 - 1",
    "max_completion_tokens": "a whole number from 0 to 2^53 - 1",
    "response_format": "an object with a type",
}


class ChatBody(msgspec.Struct, frozen=True):
    """`model` is what the client asked for; `choices` is how many answers a whole one has."""

    raw: bytes
    text: bytes  # `raw`, but for what no decoder takes; offsets are the same
    found: Mapping[str, msgspec.Raw]
    model: str
    messages: bytes
    is_stream: bool
    has_tools: bool
    choices: int
    session: str | None
    needs: Needs

    def for_model(self, model_id: str, settings: UpstreamSettings) -> tuple[Piece, ...]:
        """Return the body to send, in pieces: the client's bytes with the model exchanged.

        `models` and `route` name further models that would be tried behind our back, past the
        breaker and the ledger, so they are dropped unless the operator passes them.
        """
        name, found = msgspec.json.encode(model_id), self.found
        dropped = _DROPPED[settings.models_field, settings.provider_field]
        if "model" in found and dropped.isdisjoint(found):
            start, end = locate(self.text, found, "model")
            return self.raw[:start], name, memoryview(self.raw)[end:]
        kept = [] if "model" in found else [b'"model":' + name]
        for key, m in members(self.text).items():
            if key == "model":
                kept.append(b'"model":' + name)
            elif key not in dropped:
                kept.append(self.raw[m.name_at : m.end])
        return (b"{" + b",".join(kept) + b"}",)


def parse_body(raw: bytes, session: str | None = None) -> ChatBody:
    """Read a body; `session` is the header's, which the body's own overrides.

    Raises InvalidRequest naming the field; no content of the body is echoed.
    """
    try:
        text, found = read_object(raw)
    except MalformedJson as exc:
        raise InvalidRequest(f"The body is not valid JSON: {exc}.") from None
    except DuplicateMember as exc:
        raise InvalidRequest(f"The body is ambiguous: {exc}.", param=exc.name) from None
    messages = bytes(found.get("messages", b""))
    if not _SOME_LIST.match(messages):
        raise InvalidRequest("messages must be a list with at least one message.", param="messages")
    read = _read(found)
    has_tools = not _TOOLS.isdisjoint(found) and _has_tools(found)
    return ChatBody(
        raw=raw,
        text=text,
        found=found,
        model="router" if read.model is None else read.model,
        messages=messages,
        is_stream=read.stream or False,
        has_tools=has_tools,
        choices=read.n or 1,
        session=(read.session_id or session or "")[:256] or None,
        needs=_needs(messages, found, has_tools, read),
    )


def _needs(
    messages: bytes, found: Mapping[str, msgspec.Raw], has_tools: bool, read: _Read
) -> Needs:
    text_bytes = len(messages)
    # Data URLs are no text. Only a body that might not fit for its size is searched for them.
    if text_bytes > _SURELY_FITS and any(mark in messages for mark in _MEDIA):
        text_bytes = 0
    if has_tools:
        text_bytes += _tool_bytes(found)
    max_tokens, answer = read.max_completion_tokens, read.response_format
    return Needs(
        prompt_tokens=text_bytes // BYTES_PER_TOKEN,
        max_tokens=read.max_tokens if max_tokens is None else max_tokens,
        tools=has_tools,
        structured_output=answer is not None and answer.type == "json_schema",
        messages=messages,
    )


def _has_tools(found: Mapping[str, msgspec.Raw]) -> bool:
    return _has_some(found, "tools") or _has_some(found, "functions")


def _tool_bytes(found: Mapping[str, msgspec.Raw]) -> int:
    """Descriptions of tools are part of the prompt; agents send tens of kilobytes of them."""
    tools = len(found["tools"]) if "tools" in found else 0
    return tools + len(found["functions"]) if "functions" in found else tools


def _has_some(found: Mapping[str, msgspec.Raw], key: str) -> bool:
    """Return whether a list has anything in it, without making its elements."""
    if key not in found:
        return False
    value = bytes(found[key])
    if not value.startswith((b"[", b"null")):
        raise InvalidRequest(f"{key} must be a list.", param=key)
    return _SOME_LIST.match(value) is not None


def _read(found: Mapping[str, msgspec.Raw]) -> _Read:
    read = {}
    key = ""
    try:
        for key, value in found.items():
            if key in _DECODE:
                read[key] = _DECODE[key](value)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest(f"{key} must be {_ALLOWED[key]}.", param=key) from None
    if read.get("response_format") is not None:
        _check_members(found, "response_format")
    return _Read(**read)


def _check_members(found: Mapping[str, msgspec.Raw], key: str) -> None:
    try:
        values(bytes(found[key]))
    except (MalformedJson, DuplicateMember) as exc:
        raise InvalidRequest(f"{key} is ambiguous: {exc}.", param=key) from None
