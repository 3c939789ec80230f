import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router.classify.base import Prompt
from llm_router.classify.labelled import BadLine, Labelled, read_labelled

LABELS = ("code", "reasoning", "conversation")


def read(*lines: Any) -> list[Labelled]:
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    return list(read_labelled(raw, "prompts.jsonl", LABELS))


def test_a_line_is_a_text_and_its_label() -> None:
    [one] = read({"text": "Fix my loop", "label": "code"})
    assert (one.text, one.label, one.lang, one.source) == ("Fix my loop", "code", None, None)
    assert one.prompt() == Prompt("Fix my loop")


def test_language_and_source_are_kept_and_other_members_are_not_looked_at() -> None:
    [one] = read({"text": "Hi", "label": "code", "lang": "en", "source": "mine", "id": 7})
    assert (one.lang, one.source) == ("en", "mine")


def test_a_conversation_is_peeled_like_a_request() -> None:
    messages = [
        {"role": "user", "content": "Write a parser"},
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "Now in rust"},
    ]
    [one] = read({"messages": messages, "label": "code"})
    assert one.text == "Now in rust"
    assert one.prompt() == Prompt("Now in rust", context="Write a parser", has_history=True)


def test_a_request_may_carry_tools_and_only_then_be_labelled_so() -> None:
    body = {
        "model": "router",
        "messages": [{"role": "user", "content": "What time is it?"}],
        "tools": [{"type": "function", "function": {"name": "clock"}}],
    }
    [one] = read({"text": "shown", "request": body, "label": "tools"})
    assert one.text == "shown"
    assert one.prompt() == Prompt("What time is it?", has_tools=True)
    [other] = read({"request": {**body, "tools": []}, "label": "code"})
    assert other.prompt() == Prompt("What time is it?")
    with pytest.raises(BadLine, match="label 'tools' is not"):
        read({"request": {**body, "tools": None}, "label": "tools"})


def test_empty_lines_do_not_count() -> None:
    assert len(read(b"\n", {"text": "a", "label": "code"}, b"  \r\n")) == 1


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"{", "Input data was truncated"),
        (b"[1]", "Expected `object`, got `array`"),
        ({"text": "a"}, "missing required field `label`"),
        ({"text": 1, "label": "code"}, "Expected `str | null`, got `int`"),
        ({"text": "a", "label": "cod"}, "label 'cod' is not a category that a text can get; did"),
        ({"text": "a", "label": "xyzzy"}, "there are code, reasoning, conversation"),
        ({"text": "a", "label": "tools"}, "label 'tools' is not a category that a text can get"),
        ({"label": "code"}, "one of text, messages and request is needed"),
        ({"text": "a", "messages": [], "label": "code"}, "one of text, messages and request"),
        ({"request": {"tools": []}, "label": "code"}, "missing required field `messages`"),
        ({"messages": "hi", "label": "code"}, "Expected `array`, got `str`"),
        (
            b'{"messages":[{"role":"user","role":"user"}],"label":"code"}',
            "messages[0] is ambiguous",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_line_is_named_with_its_file_and_what_is_wrong(line: Any, what: str) -> None:
    good = {"text": "a", "label": "code"}
    with pytest.raises(BadLine) as raised:
        read(good, b"", line)
    assert str(raised.value).startswith("prompts.jsonl, line 3: ")
    assert what in str(raised.value)


@given(st.binary(max_size=60))
def test_any_bytes_are_prompts_or_one_bad_line(raw: bytes) -> None:
    with suppress(BadLine):
        read(raw)
