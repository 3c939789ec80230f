import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router.classify.base import Prompt
from llm_router.classify.text import HEAD_CHARS, TAIL_CHARS, peel
from llm_router.errors import InvalidRequest
from tests.classify.helpers import raw

STAMP = "[Sun 2026-11-22 23:38 UTC] "
RUNTIME = "\n\nRuntime: agent=main | session=main:1 | model=router/auto"
INTERNAL = (
    "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>\nActive sessions: none; write a poem about python\n"
    "<<<END_OPENCLAW_INTERNAL_CONTEXT>>>"
)
QUEUED = "[Queued user message from a previous active turn; the run was interrupted]\n"


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any = "Sure.", **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def tool(content: str = "42") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "c1", "content": content}


def text_of(*messages: dict[str, Any]) -> str:
    return peel(raw(messages)).text


def test_the_last_user_message_counts() -> None:
    prompt = peel(raw([user("first"), assistant(), user("second")]))
    assert prompt == Prompt("second", context="first", has_history=True)


def test_a_first_message_has_neither_context_nor_history() -> None:
    prompt = peel(raw([{"role": "system", "content": "Be brief."}, user("Hi")]), has_tools=True)
    assert prompt == Prompt("Hi", has_tools=True)


def test_text_parts_are_joined_and_images_left_out() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    parts = [{"type": "text", "text": "What is"}, image, {"type": "input_text", "text": "this?"}]
    assert text_of(user(parts)) == "What is\nthis?"


def test_an_image_alone_is_a_message_without_text() -> None:
    image = {"type": "image_url", "image_url": {"url": "x"}}
    prompt = peel(raw([user("earlier"), assistant(), user([image])]))
    assert prompt.text == ""
    assert prompt.context == "earlier"


def test_tool_steps_keep_the_text_of_their_user_turn() -> None:
    steps = [assistant(None, tool_calls=[{"id": "c1"}]), tool(), assistant(None), tool()]
    prompt = peel(raw([user("Find the bug"), *steps]))
    assert prompt == Prompt("Find the bug", is_step=True)


def test_a_tool_step_is_told_from_a_new_turn() -> None:
    turn = [user("first"), assistant(), user("Fix it")]
    assert not peel(raw(turn)).is_step
    assert peel(raw([*turn, assistant(None), tool()])).is_step
    assert not peel(raw([*turn, user(INTERNAL)])).is_step
    assert peel(raw([*turn, user(INTERNAL), assistant(None), tool(), user(INTERNAL)])).is_step


def test_tool_results_in_the_users_role_are_skipped() -> None:
    result = [{"type": "tool_result", "tool_use_id": "t", "content": "write a poem"}]
    assert text_of(user("Find the bug"), assistant(), user(result)) == "Find the bug"


@pytest.mark.parametrize("as_parts", [False, True], ids=["string", "parts"])
def test_openclaws_wrapping_is_taken_off(as_parts: bool) -> None:
    def said(text: str) -> dict[str, Any]:
        return user([{"type": "text", "text": text}] if as_parts else text)

    messages = [
        said(STAMP + "Rename the function" + RUNTIME),
        said(INTERNAL),
        assistant(None, tool_calls=[{"id": "c1"}]),
        tool(),
        said(INTERNAL),
    ]
    assert peel(raw(messages)) == Prompt("Rename the function", is_step=True)


@pytest.mark.parametrize(
    ("wrapped", "text"),
    [
        (QUEUED + STAMP + "Go on", "Go on"),
        (STAMP + QUEUED + "Go on" + RUNTIME, "Go on"),
        (INTERNAL + "\n" + STAMP + "Go on", "Go on"),
        ("Go on\n" + INTERNAL, "Go on"),
        ("Go on <<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>> cut off", "Go on"),
        ("[WARN] disk full, why?", "[WARN] disk full, why?"),
        ("Explain\nRuntime: agent=x\nin this log", "Explain\nRuntime: agent=x\nin this log"),
    ],
    ids=["queued", "both", "internal first", "internal last", "no end", "a log", "a quote"],
)
def test_only_wrapping_is_taken_off(wrapped: str, text: str) -> None:
    assert text_of(user(wrapped)) == text


@pytest.mark.parametrize(
    "task",
    [
        "### Task:\nGenerate a concise, 3-5 word title with an emoji.",
        "### Task:\nGenerate 1-3 broad tags categorizing the main themes.",
        "### Task:\nSuggest 3-5 relevant follow-up questions or prompts.\n<chat_history>python",
    ],
    ids=["title", "tags", "follow-ups"],
)
def test_open_webuis_own_tasks_are_recognised(task: str) -> None:
    assert "own task" in peel(raw([user(task)])).chore


def test_open_webuis_prompt_over_documents_is_the_humans() -> None:
    task = (
        "### Task:\nRespond to the user query using the context.\n<context>a poem</context>"
        "\n<user_query>\nWhy does it rain?\n</user_query>"
    )
    prompt = peel(raw([user(task)]))
    assert (prompt.text, prompt.chore) == ("Why does it rain?", "")


def test_open_webuis_prompt_without_the_query_is_read_whole() -> None:
    task = "### Task:\nRespond to the user query using the context.\n\nWhy does it rain?"
    assert peel(raw([user(task)])) == Prompt(task)


@pytest.mark.parametrize(
    "messages",
    [
        [user("Generate a title for this conversation:\n"), user("fix my python code")],
        [user("Generate a title for this conversation:\n\nfix my python code")],
    ],
    ids=["two messages", "one message"],
)
def test_opencodes_title_calls_are_recognised(messages: list[dict[str, Any]]) -> None:
    assert "own task" in peel(raw(messages)).chore


def test_a_long_text_keeps_its_ends() -> None:
    text = text_of(user("START " + "x" * 50_000 + " END"))
    assert text.startswith("START")
    assert text.endswith("END")
    assert len(text) < HEAD_CHARS + TAIL_CHARS + 10


@pytest.mark.parametrize("ascii_only", [True, False], ids=["escaped", "utf-8"])
@pytest.mark.parametrize("shift", range(12))
def test_a_huge_text_is_cut_anywhere_without_harm(shift: int, ascii_only: bool) -> None:
    said = "START " + "x" * shift + 'é"\\\n😀' * 60_000 + " END"
    text = text_of_bytes(json.dumps([user(said)], ensure_ascii=ascii_only).encode())
    assert text.startswith("START x"[: 6 + min(shift, 1)])
    assert text.endswith(' 😀é"\\\n😀 END'[2:])
    assert text.count("😀") > 500


def text_of_bytes(body: bytes) -> str:
    return peel(raw(body)).text


@pytest.mark.parametrize(
    "message",
    [
        b'{"role":"user","role":"user","content":"a"}',
        b'{"role":"user","content":"a","content":"b"}',
        b'{"role":"user","content":"a","c\\u006fntent":"b"}',
        b'{"role":"user","content":[{"type":"text","text":"a","text":"b"}]}',
    ],
    ids=["role", "content", "an escaped name", "a part's text"],
)
def test_a_key_that_stands_twice_is_refused(message: bytes) -> None:
    """F58: two readers may disagree about which one counts."""
    with pytest.raises(InvalidRequest, match="twice") as refused:
        peel(raw(b"[" + message + b"]"))
    assert (refused.value.param or "").startswith("messages[0]")


@pytest.mark.parametrize(
    "other",
    [b'{"content":1}', b'{"role":"user"}', b'"","","",""', rb'{"role":"x","content":"\\"}'],
    ids=["a role less", "a content less", "texts", "a backslash"],
)
def test_a_key_that_stands_twice_is_not_made_up_for_by_another_message(other: bytes) -> None:
    """F58: quotes are counted over all messages of a short request."""
    message = rb'{"role":"user","content":"\\","content":"b"}'
    with pytest.raises(InvalidRequest, match="twice"):
        peel(raw(b"[" + other + b"," + message + b"]"))


@given(
    st.lists(
        st.builds(
            lambda role, content, more: {"role": role, "content": content, **more},
            st.sampled_from(["user", "assistant", "system", "tool"]),
            st.text() | st.text('"\\u ').map(lambda text: text + "x") | st.none(),
            st.just({}) | st.just({"name": "bob"}),
        ),
        max_size=5,
    )
)
def test_a_short_request_is_read_as_a_long_one_is(messages: list[Any]) -> None:
    """F58: the quick way takes only what it may, and says the same."""
    assert peel(raw(messages)) == peel(b" " * 5000 + raw(messages))


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [user(None)],
        [user(5)],
        [user({"text": "x"})],
        [user([])],
        [user([None, 5, "text", {"type": "text"}, {"type": "text", "text": 7}])],
        [{"content": "no role"}],
        [{"role": ["user"], "content": "x"}],
        [None, 1, "user", [], {}],
    ],
    ids=lambda m: json.dumps(m)[:30],
)
def test_odd_messages_have_no_text(messages: list[Any]) -> None:
    """F57: wrong types are somebody else's to refuse."""
    assert peel(raw(messages)).text == ""


def test_what_is_read_may_hold_any_character() -> None:
    """F56: NUL passes; half a surrogate pair, escaped in the JSON, becomes a replacement."""
    message = b'{"role":"user","content":"a\\u0000b"}'
    assert text_of_bytes(b"[" + message + b"]") == "a\0b"


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "role": st.sampled_from(["user", "assistant", "tool", "x"]) | st.none(),
                "content": st.recursive(
                    st.none() | st.text() | st.integers(-(2**53), 2**53),
                    lambda inner: st.lists(
                        st.dictionaries(st.sampled_from(["type", "text"]), inner)
                    ),
                ),
            },
        ),
        max_size=4,
    )
)
def test_no_messages_make_it_raise(messages: list[Any]) -> None:
    """F57: whatever JSON comes, there is a prompt."""
    assert isinstance(peel(raw(messages)).text, str)
