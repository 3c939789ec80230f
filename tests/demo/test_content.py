from typing import Any

import pytest

from llm_router.demo import content

LABELS = ["tools", "code", "reasoning", "conversation"]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Write a Python function", "code"),
        ("Why is the sky blue?", "reasoning"),
        ("What's the weather in Oslo?", "tools"),
        ("hi there", "conversation"),
        ("42", "conversation"),
    ],
)
def test_keywords_choose_the_category(text: str, label: str) -> None:
    assert content.categorise(LABELS, text) == label


def test_a_label_named_in_the_text_is_chosen() -> None:
    assert content.categorise(["poems", "sums"], "more SUMS please") == "sums"
    assert content.categorise(["poems", "sums"], "42") == "sums"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": 7}, 7),
        ({"enum": ["code", "reasoning"]}, "reasoning"),
        ({"enum": [3, 4]}, 3),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"type": ["number", "null"]}, 1.5),
        ({"type": "boolean"}, True),
        ({"type": "array", "items": {"type": "null"}}, [None]),
        ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}}, {"a": 1, "b": "?"}),
        ({"type": "object", "properties": {"a": {}, "b": {}}, "required": ["b"]}, {"b": "?"}),
        ({"type": "object"}, {}),
        (True, None),
    ],
)
def test_a_schema_is_filled_with_the_plainest_value(schema: Any, value: Any) -> None:
    filled = content.fill(schema, "why")
    expected = str(value).replace("?", "demo")
    assert str(filled) == expected


def test_strings_take_the_last_name_in_the_prompt() -> None:
    assert content.fill({"type": "string"}, "Flights from Bergen to Oslo") == "Oslo"


@pytest.mark.parametrize(
    ("schema", "labels"),
    [
        ({"type": "object", "properties": {"category": {"enum": LABELS}}}, LABELS),
        ({"type": "object", "properties": {"n": {"type": "integer"}}}, None),
        (None, None),
    ],
)
def test_a_closed_set_is_found_inside_a_schema(schema: Any, labels: list[str] | None) -> None:
    assert content.enum_of(schema) == labels


WEATHER = {"type": "function", "function": {"name": "get_weather"}}
BOOKING = {"type": "function", "function": {"name": "book_flight"}}


@pytest.mark.parametrize(
    ("choice", "text", "name"),
    [
        pytest.param(None, "the weather?", "get_weather", id="mentioned"),
        pytest.param(None, "search something", "get_weather", id="wanted"),
        pytest.param(None, "hello", None, id="not wanted"),
        pytest.param("none", "the weather?", None, id="forbidden"),
        pytest.param("required", "hello", "get_weather", id="required"),
        pytest.param({"function": {"name": "book_flight"}}, "hello", "book_flight", id="forced"),
    ],
)
def test_a_tool_is_called_when_asked_for(choice: Any, text: str, name: str | None) -> None:
    picked = content.pick_tool([WEATHER, BOOKING], choice, text)
    assert (picked or {}).get("name") == name


@pytest.mark.parametrize("tools", [None, [], ["odd"], {"odd": 1}])
def test_odd_tools_are_no_tools(tools: Any) -> None:
    assert content.pick_tool(tools, "required", "search") is None


def test_a_long_prompt_is_quoted_in_part() -> None:
    reply = content.reply("z-ai/glm-5", "word " * 100)
    assert "demo" in reply
    assert "z-ai/glm-5" in reply
    assert len(reply) < 400
