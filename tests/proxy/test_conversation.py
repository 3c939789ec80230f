from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router.proxy.conversation import PREFIX, conversation_of

SYSTEM = {"role": "system", "content": "Be brief."}
FIRST = {"role": "user", "content": "Write a parser"}
LATER = [{"role": "assistant", "content": "Done."}, {"role": "user", "content": "Thanks"}]


def name(*messages: Any) -> str | None:
    return conversation_of(msgspec.json.encode(messages))


def test_a_conversation_keeps_its_name_while_it_grows() -> None:
    begun = name(SYSTEM, FIRST)
    assert begun is not None
    assert begun.startswith(PREFIX)
    assert name(SYSTEM, FIRST, *LATER) == begun
    assert name(SYSTEM, FIRST, *LATER * 5000) == begun


@pytest.mark.parametrize(
    "other",
    [
        [FIRST],
        [SYSTEM, {"role": "user", "content": "Write a lexer"}],
        [{"role": "system", "content": "Be long."}, FIRST],
        [SYSTEM, {"role": "developer", "content": "And kind."}, FIRST],
        [SYSTEM, {"role": "assistant", "content": "Write a parser"}],
    ],
    ids=["no system", "other words", "other system", "developer", "other role"],
)
def test_another_beginning_is_another_conversation(other: list[Any]) -> None:
    assert name(*other, *LATER) != name(SYSTEM, FIRST, *LATER)


def test_only_words_count_not_marks_for_caching() -> None:
    part = {"type": "text", "text": "Write a parser"}
    marked = {**part, "cache_control": {"type": "ephemeral"}}
    picture = {"type": "image_url", "image_url": {"url": "x"}}
    plain = name({"role": "user", "content": [part, picture]}, *LATER)
    assert name({"role": "user", "content": [marked, picture]}, *LATER) == plain


def test_a_beginning_with_many_parts_is_read_to_its_end() -> None:
    parts = [{"type": "text", "text": str(n)} for n in range(50)]
    one, two = ([{"role": "user", "content": parts[:n]}] for n in (49, 50))
    assert name(*one, *LATER) != name(*two, *LATER)


@pytest.mark.parametrize(
    "messages",
    [
        b"[]",
        b"[1]",
        b'[{"role":"system","content":"Be brief."}]',
        b'[{"role":"user","role":"user","content":"a"}]',
    ],
)
def test_what_has_no_readable_beginning_has_no_name(messages: bytes) -> None:
    assert conversation_of(messages) is None


json = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "text"]), inner, max_size=3)
    ),
)


@given(st.lists(json, max_size=4))
def test_any_messages_have_a_name_or_none(messages: list[Any]) -> None:
    found = conversation_of(msgspec.json.encode(messages))
    assert found is None or len(found) == len(PREFIX) + 16
