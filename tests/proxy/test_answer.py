import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_router.ledger.cost import Cost, Usage
from llm_router.proxy.answer import read_answer, read_leniently, read_ordinary
from llm_router.proxy.facts import NO_FACTS, Facts
from llm_router.routing.failures import FailureClass
from tests.fakes.effort import examples
from tests.proxy.chunks import COST_NANOUSD, ID, MODEL, USAGE, objects

C = FailureClass


def answer(message: Any, finish: Any = "stop", **facts: Any) -> bytes:
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    body = {"id": ID, "model": MODEL, "provider": "Azure", "choices": choices, "usage": USAGE}
    return json.dumps({**body, **facts}).encode()


def test_a_whole_answer_says_what_it_was_and_what_it_cost() -> None:
    facts, failure = read_answer(answer({"role": "assistant", "content": "Hello!"}))
    assert failure is None
    assert facts == Facts(
        Usage(9, 10, 4, 3), Cost(COST_NANOUSD, "provider"), MODEL, "Azure", ID
    )  # fmt: skip


@pytest.mark.parametrize(
    "message",
    [
        {"content": "x"},
        {"content": None, "tool_calls": [{"id": "1"}]},
        {"content": "", "reasoning": "Hm"},
        {"content": None, "refusal": "No."},
        {"content": None, "images": [{"type": "image_url"}]},
    ],
    ids=["text", "tool call", "reasoning", "refusal", "image"],
)
def test_whatever_has_substance_is_an_answer_without_usage_too(message: dict[str, Any]) -> None:
    assert read_answer(answer(message, usage=None))[1] is None


def test_a_legacy_completion_has_text() -> None:
    body = b'{"choices":[{"text":"x","finish_reason":"stop"}]}'
    assert read_answer(body) == (NO_FACTS, None)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 502}, C.UPSTREAM_5XX),
        ({"code": "server_error"}, C.UPSTREAM_5XX),
        ({"message": "no code"}, C.UPSTREAM_5XX),
        ({"code": 429}, C.RATE_LIMITED),
        ({"code": 400, "message": "prompt is too long"}, C.REQUEST),
        ({"code": 401}, C.AUTH),
        ({"code": 402}, C.NO_CREDIT),
    ],
    ids=lambda value: str(value),
)
@pytest.mark.parametrize("beside", [{}, {"choices": []}, {"choices": [{"delta": {}}]}])
def test_an_error_inside_a_200_is_judged_by_its_own_code(
    error: object, kind: FailureClass, beside: dict[str, Any]
) -> None:
    """F15"""
    _, failure = read_answer(json.dumps({"error": error, **beside}).encode())
    assert failure is not None
    assert failure.kind is kind


def test_an_error_inside_the_choice_counts_as_well() -> None:
    body = b'{"choices":[{"message":{"content":"half"},"error":{"code":429}}]}'
    _, failure = read_answer(body)
    assert failure is not None
    assert failure.kind is C.RATE_LIMITED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"[]",
        b"null",
        b'{"a":"\xff"}',
        b"[" * 10_000,
        b"{}",
        b'{"choices":{}}',
    ],
    ids=["empty", "HTML", "list", "null", "UTF-8", "depth", "no choices", "choices no list"],
)
def test_what_is_no_answer_is_the_providers_fault(body: bytes) -> None:
    """F16"""
    facts, failure = read_answer(body)
    assert facts == NO_FACTS
    assert failure is not None
    assert failure.kind is C.PROTOCOL


def test_half_an_emoji_is_an_answer() -> None:
    body = answer({"content": "x"}).replace(b'"x"', rb'"\ud83d"')
    assert read_answer(body)[1] is None


def test_nothing_at_all_is_empty() -> None:
    nothing = answer({"content": ""}, usage={"completion_tokens": 0})
    _, failure = read_answer(nothing)
    assert failure is not None
    assert failure.kind is C.EMPTY


@pytest.mark.parametrize("reason", ["stop", "tool_calls", None])
def test_tokens_without_anything_to_show_are_empty(reason: str | None) -> None:
    """Many servers count the token that ends an answer; it used to pass for an answer."""
    usage = {"completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 0}}
    _, failure = read_answer(answer({"content": None}, reason, usage=usage))
    assert failure is not None
    assert failure.kind is C.EMPTY


def test_tokens_of_hidden_thoughts_are_not_empty() -> None:
    assert read_answer(answer({"content": ""}, "length"))[1] is None
    usage = {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 9}}
    assert read_answer(answer({"content": ""}, "stop", usage=usage))[1] is None


def test_a_content_filter_is_an_answer() -> None:
    blocked = answer({"content": ""}, "content_filter", usage={"completion_tokens": 0})
    assert read_answer(blocked)[1] is None


def test_a_finish_that_says_error_is_none() -> None:
    _, failure = read_answer(answer({"content": "half"}, "error"))
    assert failure is not None
    assert failure.kind is C.UPSTREAM_5XX


@settings(max_examples=examples(40))
@given(objects(["choices", "message", "error", "usage", "id", "finish_reason", "content", "code"]))
def test_no_object_upsets_it(body: dict[str, Any]) -> None:
    """T42: upstream is untrusted input."""
    read_answer(json.dumps(body).encode())
    read_answer(json.dumps({"choices": [body]}).encode())


@pytest.mark.parametrize("odd", [["stop"], {"a": 1}, 7], ids=["list", "object", "number"])
def test_an_odd_finish_reason_is_no_reason_to_refuse_an_answer(odd: object) -> None:
    """T42: this raised a TypeError, which was a 500."""
    assert read_answer(answer({"content": "x"}, odd))[1] is None


def test_an_ordinary_answer_is_read_at_one_go() -> None:
    body = answer({"role": "assistant", "content": "caf\u00e9"})
    assert read_ordinary(body) == read_leniently(body)[0]


odd = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
details = st.dictionaries(st.sampled_from(["cached_tokens", "reasoning_tokens"]), odd) | odd
usages = st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": odd,
        "completion_tokens": odd,
        "prompt_tokens_details": details,
        "completion_tokens_details": details,
        "cost": odd,
    },
)


@settings(max_examples=examples(200))
@given(
    usages | odd,
    st.sampled_from(["stop", "length", "error", "", None]),
    st.text(max_size=3) | odd,
    st.dictionaries(st.sampled_from(["id", "model", "provider", "error"]), odd),
)
def test_what_passes_for_ordinary_says_the_same_when_read_leniently(
    usage: object, finish: object, content: object, facts: dict[str, Any]
) -> None:
    body = answer({"content": content}, finish, usage=usage, **facts)
    found = read_ordinary(body)
    assert found is None or (found, None) == read_leniently(body)
