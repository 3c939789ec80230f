"""Which conversation a request belongs to when its client does not say: by how it begins.

The same two messages as OpenRouter's own sticky routing goes by
(https://openrouter.ai/docs/features/prompt-caching): the first of the system's, if any, and the
first that follows. Only their words count; marks for caching come and go.
"""

import re
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice

import msgspec

from llm_router.members import DuplicateMember, MalformedJson, values

PREFIX = "begins-"

_SYSTEM = (b'"system"', b'"developer"')
_TRIES = 8

_list = msgspec.json.Decoder(list[msgspec.Raw])
# In a string the quote would be escaped, so this is a place between two objects, at some depth.
_BETWEEN = re.compile(rb'\}(?=[ \t\r\n]*,[ \t\r\n]*\{[ \t\r\n]*")')


def conversation_of(messages: bytes) -> str | None:
    """Return a name for a valid JSON array's beginning; None if it cannot be read.

    The name is a hash: it tells conversations apart and keeps nothing of what they say.
    """
    digest = blake2b(digest_size=8)
    try:
        for raw in _first(messages):
            fields = values(raw)
            role = bytes(fields.get("role", b""))
            digest.update(role + b"\0" + _words(bytes(fields.get("content", b""))) + b"\0")
            if role not in _SYSTEM:
                return PREFIX + digest.hexdigest()
    except (MalformedJson, DuplicateMember, msgspec.DecodeError):
        pass
    return None


def _first(array: bytes) -> Iterator[bytes]:
    """Yield the elements in order, the first ones without reading a long session to its end."""
    shown = 0
    for end in islice(_BETWEEN.finditer(array), _TRIES):
        try:
            some = _list.decode(array[: end.end()] + b"]")
        except msgspec.DecodeError:
            continue  # a place inside an element: brackets are missing
        yield from map(bytes, some[shown:])
        shown = len(some)
    yield from map(bytes, _list.decode(array)[shown:])


def _words(content: bytes) -> bytes:
    """Return a content's text parts as they are encoded; a plain string is one."""
    if content[:1] != b"[":
        return content
    texts = (values(bytes(part)).get("text") for part in _list.decode(content))
    return b"\0".join(bytes(text) for text in texts if text is not None)
