import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_router.members import DuplicateMember, MalformedJson, members, read_object, values
from tests.fakes.effort import examples

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=examples(150))
@given(st.dictionaries(st.text(), json_values, max_size=6), st.sampled_from([None, 2]))
def test_every_member_is_found_where_it_stands(
    value: dict[str, object], indent: int | None
) -> None:
    raw = json.dumps(value, indent=indent).encode()
    found = members(raw)
    assert {name: json.loads(member.value) for name, member in found.items()} == value
    assert all(raw[m.value_at : m.end] == m.value for m in found.values())


def test_white_space_and_order_are_kept() -> None:
    raw = b' {\n "b" : [1, 2 ] ,\t"a":{"x":1}}\r\n'
    found = members(raw)
    assert [(k, m.value) for k, m in found.items()] == [("b", b"[1, 2 ]"), ("a", b'{"x":1}')]
    assert raw[found["a"].name_at : found["a"].end] == b'"a":{"x":1}'


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b'{"model":"a","model":"a"}', id="same value"),
        pytest.param(b'{"model":"a","model":"b"}', id="same length"),
        pytest.param(b'{"model":"a","x":1,"model":"bcd"}', id="other length"),
        pytest.param(b'{"model":"a","mod\\u0065l":"b"}', id="escaped name"),
        pytest.param(b'{"model":1,"model":12}', id="prefix"),
        pytest.param(b'{"model":"\\",\\"m\\":1}","model":""}', id="value that looks like members"),
    ],
)
def test_a_duplicate_is_refused_by_name(raw: bytes) -> None:
    """F58: what is validated must be what is sent."""
    for read in (members, values):
        with pytest.raises(DuplicateMember, match="'model'"):
            read(raw)


@settings(max_examples=examples(150))
@given(
    st.lists(st.tuples(st.sampled_from(["", "a", "é", "role"]), json_values), max_size=4),
    st.sampled_from([",", ", ", " ,\n  "]),
)
def test_values_alone_are_those_of_the_members(pairs: list[tuple[str, object]], comma: str) -> None:
    """F58: a short cut must not overlook what stands twice, however tightly it is written."""
    told = comma.join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs)
    raw = f"{{{told}}}".encode()
    if len({name for name, _ in pairs}) < len(pairs):
        with pytest.raises(DuplicateMember):
            values(raw)
    else:
        assert {k: bytes(v) for k, v in values(raw).items()} == {
            k: m.value for k, m in members(raw).items()
        }


def test_a_duplicate_inside_a_value_is_not_ours() -> None:
    assert list(members(b'{"x":{"a":1,"a":2}}')) == ["x"]


def test_half_a_surrogate_pair_does_not_stop_reading() -> None:
    raw = b'{"a":"cut \\ud83d","b":"\\\\ud83d \\ud83d\\ude00"}'
    found = members(raw)
    assert found["a"].value == b'"cut \\ufffd"'
    assert raw[found["a"].value_at : found["a"].end] == b'"cut \\ud83d"'
    assert found["b"].value == b'"\\\\ud83d \\ud83d\\ude00"'


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        pytest.param(b"", "truncated", id="empty"),
        pytest.param(b"[1]", "not a JSON object", id="array"),
        pytest.param(b'{"a":1}x', "byte 7|byte 8", id="trailing garbage"),
        pytest.param(b"\xef\xbb\xbf{}", "byte 0", id="byte order mark"),
        pytest.param('{"a":1}'.encode("utf-16"), "not UTF-8", id="UTF-16"),
        pytest.param(b'{"a":"\xff"}', r"not UTF-8 \(byte 6\)", id="invalid UTF-8"),
        pytest.param(b'{"a":NaN}', "byte 5", id="NaN"),
        pytest.param(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deeply", id="nesting"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(raw: bytes, says: str) -> None:
    """F56, F59: the message says where, and echoes nothing."""
    for read in (members, values):
        with pytest.raises(MalformedJson, match=says):
            read(raw)


halves = st.sampled_from([r"\ud83d", r"\ude00", r"\\", r"\n", r"\"", "u", "d83d", "x", "\\u00e9"])


@settings(max_examples=examples(300))
@given(st.lists(halves, max_size=12).map("".join))
def test_of_a_surrogate_pair_only_a_lone_half_is_replaced(encoded: str) -> None:
    """F56: escapes before and behind it, escaped backslashes above all, mean what they meant."""
    raw = f'{{"a":"{encoded}"}}'.encode()
    said = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in json.loads(raw)["a"])
    text, found = read_object(raw)
    assert len(text) == len(raw)
    assert json.loads(bytes(found["a"])) == said


@pytest.mark.parametrize("key", ["k%d", "same"], ids=["each its own", "all the same"])
def test_an_object_of_a_million_members_is_refused_before_they_are_made(key: str) -> None:
    """F59: with as many colons inside of its lists it is an ordinary long body."""
    names = (key % n if "%" in key else key for n in range(10**6))
    crowd = b",".join(b'"%b":1' % name.encode() for name in names)
    with pytest.raises(MalformedJson, match="more than 10000 members"):
        values(b'{"a":1,' + crowd + b"}")
    assert values(b'{"messages":[{' + crowd + b'}],"a":1}')["a"] == msgspec.Raw(b"1")
