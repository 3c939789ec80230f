from typing import Any

import pytest
from hypothesis import given, settings

from llm_router.ledger.cost import NO_USAGE, Cost, Usage
from llm_router.upstream.usage import parse_usage
from tests.fakes.effort import examples
from tests.proxy.chunks import COST_NANOUSD, USAGE, objects


def test_tokens_and_cost_are_taken_as_openrouter_says_them() -> None:
    assert parse_usage(USAGE) == (Usage(9, 10, 4, 3), Cost(COST_NANOUSD, "provider"))


def test_the_cost_is_what_was_charged_and_never_a_sum_of_parts() -> None:
    usage = {"cost": 0.0233744, "cost_details": {"upstream_inference_cost": 0.0183744}}
    assert parse_usage(usage)[1] == Cost(23_374_400, "provider")
    assert parse_usage({"cost_details": {"upstream_inference_cost": 1}})[1] is None


@pytest.mark.parametrize(
    ("cost", "expected"),
    [(0, 0), (0.0, 0), ("0.001", 1_000_000), (7.35e-06, 7350), (1e-12, 0)],
    ids=str,
)
def test_a_cost_of_nothing_is_a_cost(cost: object, expected: int) -> None:
    assert parse_usage({"cost": cost})[1] == Cost(expected, "provider")


@pytest.mark.parametrize(
    "cost", [None, -1, -0.5, "free", True, [], {}, float("nan"), float("inf"), 10**9], ids=str
)
def test_a_cost_that_none_can_be_is_not_said(cost: object) -> None:
    """F38: unknown, never 0."""
    assert parse_usage({"cost": cost})[1] is None


@pytest.mark.parametrize("value", [None, -1, "9", 1.0, True, 2**60, []], ids=str)
def test_a_count_that_none_can_be_is_left_out(value: object) -> None:
    """F38"""
    tokens, _ = parse_usage(
        {
            "prompt_tokens": value,
            "completion_tokens": value,
            "prompt_tokens_details": {"cached_tokens": value},
            "completion_tokens_details": {"reasoning_tokens": value},
        }
    )
    assert tokens == NO_USAGE


@pytest.mark.parametrize("usage", [None, [], "usage", 7, True, {}], ids=str)
def test_what_is_no_usage_says_nothing(usage: object) -> None:
    assert parse_usage(usage) == (NO_USAGE, None)


def test_details_may_be_missing_or_odd() -> None:
    odd = {"prompt_tokens": 1, "prompt_tokens_details": None, "completion_tokens_details": [3]}
    assert parse_usage(odd)[0] == Usage(1)


@settings(max_examples=examples(40))
@given(objects(["prompt_tokens", "completion_tokens", "cost", "prompt_tokens_details"]))
def test_whatever_comes_is_never_negative(usage: dict[str, Any]) -> None:
    """F38"""
    tokens, cost = parse_usage(usage)
    assert all(n is None or n >= 0 for n in (tokens.prompt_tokens, tokens.completion_tokens))
    assert cost is None or (cost.nanousd is not None and cost.nanousd >= 0)
