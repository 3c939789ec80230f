"""Random material: JSON of every kind, HTTP that is nearly right, streams that are nearly sound."""

import json
from typing import Any

from hypothesis import strategies as st

KIB = 1024
LONGEST = 10 * KIB

numbers = (
    st.integers()
    | st.floats()
    | st.sampled_from([-1, 0, 2**31, 2**63, 2**64, 10**30, -(10**30), 1e308, 5e-324, 0.1])
)
texts = st.text(max_size=20) | st.sampled_from(
    ["", "\0", "\ud83d", "\x1b[31m", "../../etc/passwd", "' OR 1=1--", "a/b", "x" * 3000]
)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


def objects(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with any of these fields, each as it should be or as anything else."""
    each = {name: strategy | values for name, strategy in fields.items()}
    return st.fixed_dictionaries({}, optional=each)


def encoded(value: object) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


parts = objects(
    type=st.sampled_from(["text", "image_url", "input_audio", "file"]),
    text=texts,
    image_url=objects(url=texts),
)
messages = st.lists(
    objects(
        role=st.sampled_from(["user", "assistant", "system", "tool", "developer"]),
        content=texts | st.lists(parts, max_size=3),
        tool_calls=st.lists(values, max_size=2),
        name=texts,
    ),
    max_size=5,
)
chat_bodies = objects(
    model=st.sampled_from(["router", "auto", "router/code", "glm-5", "a/b", "router/none"]),
    messages=messages,
    stream=st.booleans(),
    tools=st.lists(values, max_size=3),
    response_format=objects(type=st.sampled_from(["json_schema", "json_object", "text"])),
    max_tokens=numbers,
    max_completion_tokens=numbers,
    n=st.integers(0, 3),
    session_id=texts,
    models=st.lists(texts, max_size=2),
    provider=values,
)
category_bodies = objects(
    name=st.sampled_from(["code", "poems", "direct"]),
    models=st.lists(st.sampled_from(["glm-5", "a/b", ""]), max_size=3),
    keywords=st.lists(texts, max_size=3),
    description=texts,
)
mapping_bodies = objects(
    category=st.sampled_from(["code", "poems"]),
    models=st.lists(st.sampled_from(["glm-5", "a/b"]), max_size=3),
)
# The shapes a parser cannot like: cut, deep, doubled, padded, and no JSON at all.
NASTY_BODIES = (
    b"",
    b"\xff\xfe{}",
    b'{"messages":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"a":' * 2000 + b"1" + b"}" * 2000,
    b'{"messages":[{"role":"user","content":"' + b"\\u00e9" * 1600 + b'"}]}',
    b'{"messages":[{"role":"user","content":"' + b"\\ud83d" * 1600 + b'"}]}',
    b'{"messages":[' + b",".join([b'{"role":"user","content":"a"}'] * 300) + b"]}",
    b"{" + b",".join(b'"k%d":1' % n for n in range(1000)) + b"}",
    b'{"messages":[{"role":"user","content":[' + b"{}," * 3000 + b"{}]}]}",
    b'{"tools":[' + b"[]," * 3000 + b'[]],"messages":[{}]}',
    b'{"messages":[{"role":"user","content":"' + b"why how explain " * 600 + b'"}]}',
    b'{"messages":[{"role":"user","content":"' + b"`" * 10_000 + b'"}]}',
    b'{"messages":[{"role":"user","content":"' + b"a_" * 5000 + b'"}]}',
    b'{"messages":[{"role":"user","content":"' + b"(" * 10_000 + b'"}]}',
    b'{"messages":[{"role":"user","content":"' + b"\\n" * 5000 + b'"}]}',
    b'{"messages":[{"role":"user","content":"' + b" " * 10_000 + b'"}]}',
    b'{"max_tokens":' + b"9" * 5000 + b',"messages":[{}]}',
    b'{"messages":[{"role":"user","content":"' + "é漢😀".encode() * 1000 + b'"}]}',
)


def bodies(shape: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Bodies of at most 10 KiB: of this shape, cut short, or nothing of the kind."""
    sound = shape.map(encoded)
    cut = st.tuples(sound, st.integers(0, 200)).map(lambda pair: pair[0][: pair[1]])
    any_of = (
        sound | cut | values.map(encoded) | st.binary(max_size=100) | st.sampled_from(NASTY_BODIES)
    )
    return any_of.map(lambda body: body[:LONGEST])


_TOKENS = """
    Host Content-Length Transfer-Encoding Connection Expect Authorization Content-Type Origin
    Content-Encoding X-Session-Id X-Router-Category Cookie X-OpenRouter-Cache Accept Via
    Upgrade Range TE Forwarded
"""
tokens = st.sampled_from(_TOKENS.split())
_fitting = (
    "0 -1 1e3 chunked gzip close 100-continue application/json localhost text/plain upgrade */*"
)
header_values = st.sampled_from(
    ["", "Bearer x", "Bearer ", "Basic a:b", *_fitting.split()]
) | st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=30)
headers = st.lists(st.tuples(tokens | texts, header_values), max_size=6)
methods = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT"])


def raw_requests(paths: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    """Requests as bytes, with headers that fit or not, or with one byte that does not."""

    def written(line: tuple[str, str], fields: list[tuple[str, str]], body: bytes) -> bytes:
        head = f"{line[0]} {line[1]} HTTP/1.1\r\nHost: localhost\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in fields)
        return head.encode("latin-1", "replace") + b"\r\n" + body

    def spoilt(raw: bytes, place: int, byte: int) -> bytes:
        return raw[:place] + bytes([byte]) + raw[place + 1 :]

    sound = st.builds(written, st.tuples(methods, paths), headers, st.binary(max_size=50))
    return sound | st.builds(spoilt, sound, st.integers(0, 120), st.integers(0, 255))
