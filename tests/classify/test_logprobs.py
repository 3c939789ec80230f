import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router.classify.logprobs import confidence_in

LABELS = ("code", "reasoning", "conversation")


def token(text: str, p: float = 1.0, **others: float) -> dict[str, Any]:
    """One token with its probability, and those of others in its place."""
    top = [{"token": t, "logprob": math.log(q)} for t, q in {text: p, **others}.items()]
    return {"token": text, "logprob": math.log(p), "bytes": [1], "top_logprobs": top}


def answer(*value: dict[str, Any]) -> list[dict[str, Any]]:
    return [token('{"'), token("category"), token('":'), token(' "'), *value, token('"}')]


def test_the_labels_token_says_how_sure_the_model_was() -> None:
    found = confidence_in(answer(token("code", 0.8, reason=0.2)), "code", LABELS)
    assert found == (0.8, (("reasoning", 0.2),))


def test_tokens_that_lead_to_no_label_do_not_count() -> None:
    """They may have been forbidden by the schema, or were not: both read the same."""
    tokens = answer(token("code", 0.4, prose=0.5, reason=0.1))
    assert confidence_in(tokens, "code", LABELS) == (0.8, (("reasoning", 0.2),))


def test_a_label_of_several_tokens_multiplies_their_shares() -> None:
    tokens = answer(token("co", 0.5, reason=0.5), token("de", 0.6, nversation=0.4))
    assert confidence_in(tokens, "code", LABELS) == (
        0.3,
        (("reasoning", 0.5), ("conversation", 0.2)),
    )


def test_a_label_that_begins_another_is_told_apart_by_what_follows() -> None:
    labels = ("code", "code-review")
    tokens = [token('{"category":"'), token("code", 1.0), token('"}', 0.75, **{"-review": 0.25})]
    assert confidence_in(tokens, "code", labels) == (0.75, (("code-review", 0.25),))


@pytest.mark.parametrize("text", ["code", ' "code', 'code"}', "Code"])
def test_what_surrounds_a_label_in_its_token_does_not_matter(text: str) -> None:
    tokens = [token('{"category":'), token(text, 0.9, reason=0.1)]
    assert confidence_in(tokens, "code", LABELS) == (0.9, (("reasoning", 0.1),))


def test_a_certain_model_leaves_nothing_for_others() -> None:
    assert confidence_in(answer(token("code")), "code", LABELS) == (1.0, ())


def test_the_token_itself_counts_when_no_others_are_listed() -> None:
    tokens = [{"token": "code", "logprob": -0.1}]
    assert confidence_in(tokens, "code", LABELS) == (1.0, ())


@pytest.mark.parametrize(
    "tokens",
    [
        None,
        {},
        [],
        ["code"],
        [{"token": 1}],
        [{"token": "reasoning", "logprob": -1}],
        [{"token": "code"}],
        [{"token": "code", "logprob": "-1"}],
        [{"token": "code", "logprob": float("nan")}],
        [{"token": "code", "logprob": -(10**400)}],
        [{"token": "code", "logprob": 5}],
        [{"token": "code", "logprob": -1}] * 65,
    ],
    ids=lambda tokens: str(tokens)[:40],
)
def test_what_fits_no_answer_is_no_confidence(tokens: Any) -> None:
    """T42"""
    assert confidence_in(tokens, "code", LABELS) is None


json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.sampled_from(LABELS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["token", "logprob", "top_logprobs"]), inner, max_size=3)
    ),
)


@given(st.lists(json, max_size=5), st.sampled_from(LABELS))
def test_whatever_is_sent_makes_a_probability_or_none(tokens: list[Any], label: str) -> None:
    """T42"""
    found = confidence_in(tokens, label, LABELS)
    if found is not None:
        confidence, others = found
        assert 0 <= confidence <= 1
        assert confidence + sum(p for _, p in others) <= 1.01
