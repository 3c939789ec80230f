import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_router.errors import InvalidRequest
from llm_router.proxy.body import BYTES_PER_TOKEN, ChatBody, parse_body
from llm_router.routing.chain import Needs
from llm_router.settings import UpstreamSettings
from tests.fakes.effort import examples
from tests.proxy.chunks import objects

DEFAULT = UpstreamSettings()
HI = [{"role": "user", "content": "Hi"}]
MODEL = "z-ai/glm-5"


def body(**fields: Any) -> bytes:
    return json.dumps({"messages": HI, **fields}).encode()


def parse(**fields: Any) -> ChatBody:
    return parse_body(body(**fields))


def refused(raw: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_body(raw)
    return caught.value


# What is read


def upstream_body(raw: bytes, model: str = MODEL, settings: UpstreamSettings = DEFAULT) -> bytes:
    return b"".join(parse_body(raw).for_model(model, settings))


def test_the_least_a_body_needs_is_a_message() -> None:
    read = parse()
    assert (read.model, read.is_stream, read.has_tools, read.choices, read.session) == (
        "router",
        False,
        False,
        1,
        None,
    )
    assert read.needs == Needs(len(read.messages) // BYTES_PER_TOKEN, messages=read.messages)


def test_what_routing_needs_is_read() -> None:
    read = parse(
        model="router/code",
        stream=True,
        n=3,
        tools=[{"type": "function"}],
        session_id="s-1",
        max_tokens=100,
        response_format={"type": "json_schema", "json_schema": {}},
    )
    assert (read.model, read.is_stream, read.choices, read.session) == (
        "router/code",
        True,
        3,
        "s-1",
    )
    assert read.has_tools
    assert (read.needs.tools, read.needs.max_tokens, read.needs.structured_output) == (
        True,
        100,
        True,
    )


def test_descriptions_of_tools_count_as_prompt() -> None:
    tools = [{"type": "function", "function": {"name": "f", "description": "x" * 6000}}]
    assert parse(tools=tools).needs.prompt_tokens > parse().needs.prompt_tokens + 1000


def test_null_counts_as_absent() -> None:
    names = ("model", "stream", "n", "tools", "functions", "session_id", "max_tokens",
             "max_completion_tokens", "response_format")  # fmt: skip
    nothing = parse(**dict.fromkeys(names))
    assert (nothing.model, nothing.is_stream, nothing.choices) == ("router", False, 1)
    assert (nothing.has_tools, nothing.session, nothing.needs.max_tokens) == (False, None, None)


@pytest.mark.parametrize(
    ("fields", "has_tools"),
    [
        ({"tools": []}, False),
        ({"tools": [{}]}, True),
        ({"functions": [{"name": "f"}]}, True),
        ({"tool_choice": "auto"}, False),
    ],
    ids=["empty", "tools", "legacy functions", "a choice among none"],
)
def test_tools_are_carried_where_a_list_of_them_is(fields: dict[str, Any], has_tools: bool) -> None:
    assert parse(**fields).has_tools is has_tools


def test_the_bodys_session_goes_before_the_headers() -> None:
    assert parse_body(body(session_id="own"), "header").session == "own"
    assert parse_body(body(), "header").session == "header"
    assert parse_body(body(session_id=""), "header").session == "header"
    assert parse_body(body(), "").session is None
    assert parse_body(body(session_id="x" * 300)).session == "x" * 256


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"max_tokens": 0}, 0),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": None}, 5),
        ({"max_tokens": 5, "max_completion_tokens": 0}, 0),
    ],
    ids=["zero", "both", "null", "zero goes before"],
)
def test_the_newer_name_of_the_token_limit_goes_first(fields: dict[str, Any], limit: int) -> None:
    assert parse(**fields).needs.max_tokens == limit


@pytest.mark.parametrize(
    ("part", "images"),
    [
        ({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}, True),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}, True),
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, False),
        ({"type": "file", "file": {"file_data": "data:application/pdf;base64,"}}, False),
        ({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,"}}, False),
    ],
    ids=["image by address", "image", "audio", "file", "video"],
)
def test_media_are_no_text_to_be_counted(part: dict[str, Any], images: bool) -> None:
    """A picture of a megabyte is a thousand tokens, not two hundred thousand."""
    raw = json.dumps({"messages": [{"role": "user", "content": [part]}], "x": 1}).encode()
    for mark in (b";base64,", b'"data": "', b"a.png"):
        raw = raw.replace(mark, mark + b"x" * 300_000)
    assert len(raw) > 300_000
    needs = parse_body(raw).needs
    assert (needs.prompt_tokens, needs.images()) == (0, images)


def test_a_long_prompt_is_estimated_low() -> None:
    for size in (60_000, 600_000):
        needs = parse(messages=[{"role": "user", "content": "x" * size}]).needs
        assert size / 6 <= needs.prompt_tokens < size / 6 + 20


@pytest.mark.parametrize("kind", ["json_object", "text"])
def test_only_a_schema_asks_for_structured_output(kind: str) -> None:
    assert not parse(response_format={"type": kind}).needs.structured_output


# What is refused


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b"not json",
        body() + b"x",
        body() + body(),
        b"\xef\xbb\xbf" + body(),
        body().decode().encode("utf-16"),
        body(user="caf\u00e9").replace(rb"\u00e9", b"\xe9"),
        b"[1]",
        b'"text"',
        b"null",
        b'{"messages":[1],"a":NaN}',
        b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"{'messages':[]}",
        b'{"messages":[1],}',
    ],
    ids=[
        "empty",
        "blank",
        "torn",
        "text",
        "trailing garbage",
        "two bodies",
        "BOM",
        "UTF-16",
        "Latin-1",
        "list",
        "string",
        "null",
        "NaN",
        "deep lists",
        "deep objects",
        "single quotes",
        "trailing comma",
    ],
)
def test_what_is_not_one_json_object_is_refused(raw: bytes) -> None:
    """F56, F59"""
    error = refused(raw)
    assert error.status == 400
    assert error.message.startswith("The body is not valid JSON: ")


def test_the_position_is_told_and_the_content_is_not() -> None:
    """F56, T11: errors end up in logs and on screens."""
    error = refused(b'{"messages":[{"content":"my secret" oh}]}')
    assert "secret" not in error.message
    assert "byte" in error.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messages", None),
        ("messages", []),
        ("messages", {}),
        ("messages", "Hi"),
        ("messages", 7),
        ("model", 5),
        ("model", ["a"]),
        ("stream", "yes"),
        ("stream", 1),
        ("tools", {}),
        ("tools", "f"),
        ("functions", 3),
        ("n", 0),
        ("n", -1),
        ("n", 1.5),
        ("n", "2"),
        ("n", True),
        ("session_id", 9),
        ("session_id", {}),
        ("max_tokens", -1),
        ("max_tokens", 0.5),
        ("max_tokens", "9"),
        ("max_tokens", False),
        ("max_completion_tokens", -1),
        ("max_completion_tokens", []),
        ("response_format", "json"),
        ("response_format", {"type": 5}),
        ("response_format", []),
    ],
)
def test_a_field_of_the_wrong_type_is_named(field: str, value: object) -> None:
    """F57"""
    error = refused(body(**{field: value}))
    assert (error.status, error.type, error.param) == (400, "invalid_request", field)
    assert error.message.startswith(f"{field} must be ")


@pytest.mark.parametrize(
    "number",
    [b"1e999", b"1" * 5000, b"18446744073709551616", b"9007199254740992", b"-0.5"],
)
@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens", "n"])
def test_a_number_that_is_none_of_anything_is_named(field: str, number: bytes) -> None:
    """F57"""
    raw = body(stream=False)[:-1] + b',"' + field.encode() + b'":' + number + b"}"
    error = refused(raw)
    assert (error.status, error.param) == (400, field)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity"])
def test_what_is_no_number_in_json_is_a_400(number: bytes) -> None:
    """F57"""
    assert refused(body(stream=False)[:-1] + b',"max_tokens":' + number + b"}").status == 400


def test_messages_may_be_missing_only_by_mistake() -> None:
    assert refused(b"{}").param == "messages"


@pytest.mark.parametrize("field", ["model", "stream", "messages", "tools", "temperature"])
def test_a_key_that_stands_twice_is_ambiguous(field: str) -> None:
    """F58: another reader might take the other one."""
    twice = b'{"' + field.encode() + b'":1,' + body(**{field: 2})[1:]
    error = refused(twice)
    assert error.param == field
    assert "appears twice" in error.message


def test_a_format_with_two_types_is_ambiguous() -> None:
    """F58"""
    twice = b'{"response_format":{"type":"text","type":"json_schema"},' + body()[1:]
    assert refused(twice).param == "response_format"


def test_a_key_spelled_in_two_ways_is_the_same_key() -> None:
    """F58"""
    error = refused(body(model="cheap")[:-1] + rb',"\u006dodel":"dear"}')
    assert error.param == "model"


@settings(max_examples=examples(40))
@given(
    objects(["messages", "model", "stream", "tools", "n", "max_tokens", "response_format", "type"])
)
def test_any_object_is_read_or_refused(fields: dict[str, Any]) -> None:
    """F57: no body is a 500."""
    with suppress(InvalidRequest):
        upstream_body(json.dumps(fields).encode())


@settings(max_examples=examples(80))
@given(st.binary(max_size=60))
def test_bytes_at_random_are_refused_and_nothing_worse(raw: bytes) -> None:
    """F56"""
    with pytest.raises(InvalidRequest):
        parse_body(raw)


# What is sent


def sent(raw: bytes, settings: UpstreamSettings = DEFAULT) -> bytes:
    out = upstream_body(raw, settings=settings)
    msgspec.json.decode(out)
    return out


def test_only_the_model_is_exchanged() -> None:
    """F65: what is not interpreted travels as the bytes that came, in their order."""
    raw = (
        b'{ "zebra": [1, 2.50,{"k":"\\u00e9"}],\t"model" : "router/code",\n'
        b'"messages":[{"content":"hi","role":"user"}], "big":1e5, "last":null } \n'
    )
    assert sent(raw) == raw.replace(b'"router/code"', b'"z-ai/glm-5"')


def test_a_body_without_a_model_gets_one() -> None:
    assert sent(b'{"messages":[1]}') == b'{"model":"z-ai/glm-5","messages":[1]}'


def test_model_null_is_exchanged_too() -> None:
    assert sent(b'{"model":null,"messages":[1]}') == b'{"model":"z-ai/glm-5","messages":[1]}'


def test_fields_that_would_try_further_models_are_dropped() -> None:
    """T49: hidden attempts would escape breaker and ledger."""
    raw = b'{"models":["a/b"], "messages":[1], "route":"fallback","provider":{"sort":"price"}}'
    assert sent(raw) == b'{"model":"z-ai/glm-5","messages":[1],"provider":{"sort":"price"}}'
    raw = b'{"a":1, "model":"router", "models":[], "messages": [1]}'
    assert sent(raw) == b'{"a":1,"model":"z-ai/glm-5","messages": [1]}'


def test_the_operator_may_pass_or_drop_them_otherwise() -> None:
    raw = b'{"model":"x","models":["a/b"],"messages":[1],"route":"r","provider":{}}'
    passing = UpstreamSettings(models_field="pass")
    assert sent(raw, passing) == raw.replace(b'"x"', b'"z-ai/glm-5"')
    dropping = UpstreamSettings(models_field="pass", provider_field="drop")
    assert (
        sent(raw, dropping) == b'{"model":"z-ai/glm-5","models":["a/b"],"messages":[1],"route":"r"}'
    )


def test_fields_that_shape_an_answer_pass() -> None:
    """T49, T07: they reach the fixed upstream, which is all that they can do."""
    raw = (
        b'{"model":"x","messages":[1],"plugins":[{"id":"web"}],"transforms":[],'
        b'"base_url":"http://169.254.169.254","api_key":"k","usage":{"include":true}}'
    )
    assert sent(raw) == raw.replace(b'"x"', b'"z-ai/glm-5"')


def test_the_names_of_dropped_fields_inside_others_stay() -> None:
    raw = b'{"model":"x","messages":[{"models":1}],"metadata":{"models":"m","route":"r"}}'
    assert sent(raw) == raw.replace(b'"x"', b'"z-ai/glm-5"')


def test_half_an_emoji_travels_as_it_came() -> None:
    """F56: agents cut strings in the middle of one."""
    raw = rb'{"model":"\ud83d","messages":[{"content":"\ud83d"}],"user":"\ude00"}'
    expected = raw.replace(rb'"model":"\ud83d"', b'"model":"z-ai/glm-5"')
    assert upstream_body(raw) == expected


def test_a_models_name_cannot_break_out_of_its_string() -> None:
    """F65"""
    out = upstream_body(body(), 'a","models":["b\n')
    assert json.loads(out)["model"] == 'a","models":["b\n'


_names = st.sampled_from(["model", "models", "route", "provider", "user", "x", "\u00e9", 'q"', "n"])
_values = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=3)
_spaces = st.sampled_from(["", " ", "\n\t", "\r\n  "])


@settings(max_examples=examples(80))
@given(st.data(), st.dictionaries(_names, _values, max_size=6))
def test_what_is_sent_is_what_came_but_for_what_is_ours(
    data: st.DataObject, fields: dict[str, Any]
) -> None:
    """F58"""
    fields = {**fields, "messages": HI, "n": 1}
    if fields.get("model") is not None:
        fields["model"] = "any"
    space = [data.draw(_spaces) for _ in range(4)]
    members = [
        json.dumps(k, ensure_ascii=data.draw(st.booleans())) + space[0] + ":" + json.dumps(v)
        for k, v in fields.items()
    ]
    raw = space[1] + "{" + space[2] + (space[3] + ",").join(members) + space[3] + "}"
    out = json.loads(sent(raw.encode()))
    expected = {k: v for k, v in fields.items() if k not in ("models", "route")} | {"model": MODEL}
    assert out == expected
    assert [k for k in out if k != "model"] == [k for k in expected if k != "model"]
