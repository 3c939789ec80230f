"""Where the members of a JSON object stand in its bytes, without decoding their values.

A request body is read this way: what routing needs is decoded, everything else travels as the bytes
that came, and a member can be exchanged without touching its neighbours.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

# Every member of an object costs time wherever it is read; the bulk of a long body stands in lists.
MOST_MEMBERS = 10_000
_TOO_MANY = f"it has more than {MOST_MEMBERS} members"
_LONG_BYTES = 64 * 1024
_MANY_BYTES = 1024 * 1024

_values_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
# What stands before a member's value, and what behind the last one.
_NAME = re.compile(
    rb'[ \t\r\n]*+[{,][ \t\r\n]*+"([^"\\]*+(?:\\.[^"\\]*+)*+)"[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL
)
_END = re.compile(rb"[ \t\r\n]*+\}")
# Half a surrogate pair, where every backslash begins an escape.
_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
# In place of an escaped backslash, which begins no escape; no JSON has it.
_NO_JSON = b"\0\0"


class MalformedJson(ValueError):
    """The bytes are not one JSON object; says where, never what stands there."""


class DuplicateMember(ValueError):
    """Two members share a name, so two readers may disagree about which one counts."""

    def __init__(self, name: str | None) -> None:
        super().__init__(f"the key {name!r} appears twice" if name else "a key appears twice")
        self.name = name


class _Bulk(msgspec.Struct):
    """What of an object may be long and hold any number of members of its own."""

    messages: msgspec.Raw = msgspec.Raw()
    tools: msgspec.Raw = msgspec.Raw()
    functions: msgspec.Raw = msgspec.Raw()
    response_format: msgspec.Raw = msgspec.Raw()
    content: msgspec.Raw = msgspec.Raw()
    tool_calls: msgspec.Raw = msgspec.Raw()


_bulk_of = msgspec.json.Decoder(_Bulk).decode


class Member(msgspec.Struct, frozen=True, gc=False):
    """Offsets into the object's bytes (its name's opening quote, its value, the value's end)."""

    name_at: int
    value_at: int
    end: int
    value: bytes


def members(raw: bytes) -> dict[str, Member]:
    """Return the members of the object in their order.

    Raises MalformedJson, or DuplicateMember. The walk beside the decoder is what finds duplicates:
    a decoder keeps the last one without a word.
    """
    return dict(_walk(*_decode(raw)))


def locate(text: bytes, found: Mapping[str, msgspec.Raw], name: str) -> tuple[int, int]:
    """Return where a member's value begins and ends in what `read_object` returned."""
    at = 0
    for key, encoded in found.items():
        opening = _NAME.match(text, at)
        assert opening is not None
        start = opening.end()
        at = start + len(encoded)
        if key == name:
            return start, at
    raise KeyError(name)


def values(raw: bytes) -> dict[str, msgspec.Raw]:
    """Return the values of the object's members. Raises what `members` raises."""
    return read_object(raw)[1]


def read_object(raw: bytes) -> tuple[bytes, dict[str, msgspec.Raw]]:
    """Return the bytes that were read, with the same offsets as `raw`, and the members' values.

    Much quicker than `members`, because most often the object's size alone shows that no name
    stands there twice.
    """
    text, found = _decode(raw)
    spare = len(text) - 1 - 4 * len(found) - sum(map(len, found)) - sum(map(len, found.values()))
    # A second member of one of these names would take quotes, colon, comma and a value more.
    if spare >= 5 and found and spare >= 5 + min(map(len, found)):
        for _ in _walk(text, found):
            pass
    return text, found


def _walk(text: bytes, values: Mapping[str, msgspec.Raw]) -> Iterator[tuple[str, Member]]:
    at = 0
    for name, encoded in values.items():
        value, opening = bytes(encoded), _NAME.match(text, at)
        # The bytes here must be the decoded ones: only then is this the one member of its name.
        if opening is None or _text(opening[1]) != name:
            raise DuplicateMember(_duplicate_in(text))
        start = opening.end()
        if not text.startswith(value, start):
            raise DuplicateMember(_duplicate_in(text))
        at = start + len(value)
        yield name, Member(opening.start(1) - 1, start, at, value)
    if values and _END.match(text, at) is None:
        raise DuplicateMember(_duplicate_in(text))


def _decode(raw: bytes) -> tuple[bytes, dict[str, msgspec.Raw]]:
    """Return the values and the bytes they were read from.

    Agents cut strings in the middle of an emoji and send half a surrogate pair. The decoder refuses
    it; for reading, it is replaced by U+FFFD, which has the same length, so offsets stay true.
    """
    try:
        if not raw.isascii():
            raw.decode()
        try:
            return raw, _checked_values(raw)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            mended = _mended(raw)
            if mended == raw:
                raise
            return mended, _checked_values(mended)
    except UnicodeDecodeError as exc:
        raise MalformedJson(f"it is not UTF-8 (byte {exc.start})") from None
    except msgspec.ValidationError:
        raise MalformedJson("it is not a JSON object") from None
    except msgspec.DecodeError as exc:
        raise MalformedJson(str(exc)) from None
    except RecursionError:
        raise MalformedJson("it is nested too deeply") from None


def _checked_values(raw: bytes) -> dict[str, msgspec.Raw]:
    # There are at least as many colons as members. Counting them takes as long as reading does, and
    # less than a megabyte of members is read soon enough.
    if len(raw) > _MANY_BYTES and raw.count(b":") > MOST_MEMBERS:
        bulk = _bulk_of(raw)
        inside = sum(bytes(each).count(b":") for each in msgspec.structs.astuple(bulk))
        if raw.count(b":") - inside > MOST_MEMBERS:
            raise MalformedJson(_TOO_MANY)
    values = _values_of(raw)
    if len(values) > MOST_MEMBERS:
        raise MalformedJson(_TOO_MANY)
    return values


def _mended(raw: bytes) -> bytes:
    if b"\0" in raw:
        return raw
    plain = raw.replace(rb"\\", _NO_JSON)
    return _LONE_SURROGATE.sub(rb"\\ufffd", plain).replace(_NO_JSON, rb"\\")


def _text(encoded: bytes) -> str:
    if encoded.find(b"\\") < 0:
        return encoded.decode()
    return str(msgspec.json.decode(b'"' + encoded + b'"'))


def _duplicate_in(raw: bytes) -> str | None:
    """Name the culprit of a short object. Slow, and only for the message."""
    if len(raw) > _LONG_BYTES:
        return None
    names: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> None:
        names[:] = [name for name, _ in items]  # the outermost object is closed last

    try:
        json.loads(raw, object_pairs_hook=pairs, parse_int=float)
    except (ValueError, RecursionError):
        return None
    return next((name for name, n in Counter(names).items() if n > 1), None)
