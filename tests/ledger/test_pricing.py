from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_router.ledger.cost import UNKNOWN_COST, Cost, Usage
from llm_router.ledger.pricing import cost_of, is_implausible, nanousd

GLM = {"prompt": "0.0000006", "completion": "0.0000019", "input_cache_read": "0.000000119"}
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()  # a Saturday


def computed(
    prompt: int, completion: int, pricing: Mapping[str, object], **usage: int
) -> int | None:
    return cost_of(Usage(prompt, completion, **usage), pricing, now=NOON).nanousd


# --- USD to nano-USD ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usd", "expected"),
    [
        (7.35e-06, 7350),
        (0.0, 0),
        (-0.0, 0),
        (1, 1_000_000_000),
        (1e-10, 0),
        (0.0233744, 23_374_400),
        (2.5e-9, 2),
        (3.5e-9, 4),
        ("0.00000735", 7350),
        ("7.35e-06", 7350),
        (999_999.999999999, 999_999_999_999_999),
    ],
)
def test_a_cost_in_usd_becomes_nano_usd_exactly(usd: object, expected: int) -> None:
    assert nanousd(usd) == expected


@pytest.mark.parametrize(
    "value",
    [-1, -1e-12, "-1", float("nan"), float("inf"), "NaN", "Infinity", True, False, None, "", "free",
     [], {}, 1e6, 10**6, "1e6", 10**400, 1e300],
)  # fmt: skip
def test_what_no_cost_can_be_is_none(value: object) -> None:
    """F38: a negative, huge or strange cost is not booked."""
    assert nanousd(value) is None


def by_decimal(value: float) -> int:
    exact = Decimal(repr(value)).quantize(Decimal("1e-9"), ROUND_HALF_EVEN)
    return int(exact.scaleb(9))


@given(
    st.floats(min_value=0, max_value=999_999, allow_nan=False)
    | st.integers(0, 10**15 - 1).map(lambda n: n / 1e9)
    | st.integers(0, 10**15 - 1).map(lambda n: (n + 0.5) / 1e9)
)
@example(524_288.123456789)
@example(4.5e-9)
@example(0.0000000005)
def test_the_quick_way_equals_decimal_arithmetic_to_the_nano(value: float) -> None:
    assert nanousd(value) == by_decimal(value)


# --- tokens times price ---------------------------------------------------------------------------


def test_tokens_cost_their_price() -> None:
    assert cost_of(Usage(1000, 100), GLM, now=NOON) == Cost(790_000, "computed")


def test_cached_tokens_are_taken_out_of_the_prompt() -> None:
    assert computed(1000, 0, GLM, cached_tokens=400) == 600 * 600 + 400 * 119


def test_without_a_cache_price_cached_tokens_cost_the_full_price() -> None:
    pricing = {"prompt": "0.000001", "completion": "0"}
    assert computed(1000, 0, pricing, cached_tokens=400) == 1_000_000


def test_more_cached_tokens_than_prompt_tokens_cost_no_less_than_the_prompt_cached() -> None:
    assert computed(10, 0, GLM, cached_tokens=50) == 10 * 119


def test_reasoning_is_paid_inside_the_completion() -> None:
    pricing = {**GLM, "internal_reasoning": "0.5"}
    assert computed(0, 100, pricing, reasoning_tokens=60) == 190_000


def test_the_price_of_a_request_is_added() -> None:
    assert computed(0, 0, {**GLM, "request": "0.005"}) == 5_000_000


def test_a_discount_applies_to_everything() -> None:
    assert computed(1000, 0, {**GLM, "request": "0.001", "discount": 0.25}) == 1_200_000


def test_the_sum_is_rounded_once_and_ties_go_to_even() -> None:
    third = {"prompt": "0.0000000004", "completion": "0.0000000004"}
    assert computed(1, 1, third) == 1
    assert computed(5, 0, {"prompt": "0.0000000001", "completion": "0"}) == 0
    assert computed(15, 0, {"prompt": "0.0000000001", "completion": "0"}) == 2


def test_a_free_model_costs_nothing_and_we_know_it() -> None:
    free = {"prompt": "0", "completion": "0"}
    assert cost_of(Usage(10, 10), free, now=NOON) == Cost(0, "computed")


@pytest.mark.parametrize(
    "pricing",
    [
        None,
        {},
        {"prompt": "-1", "completion": "-1"},
        {"prompt": "0.1"},
        {"completion": "0.1"},
        {**GLM, "prompt": None},
        {**GLM, "prompt": "cheap"},
        {**GLM, "prompt": True},
        {**GLM, "prompt": ["0.1"]},
        {**GLM, "prompt": "NaN"},
        {**GLM, "input_cache_read": "-1"},
        {**GLM, "request": "soon"},
        {**GLM, "discount": 2},
        {**GLM, "discount": "half"},
        {**GLM, "overrides": {}},
        {**GLM, "overrides": ["x"]},
        {**GLM, "overrides": [{"min_prompt_tokens": "5", "prompt": "0"}]},
        {**GLM, "overrides": [{"utc_start": True, "prompt": "0"}]},
        {**GLM, "overrides": [{"utc_days": "saturday", "prompt": "0"}]},
        {**GLM, "overrides": [{"phase_of_moon": 3, "prompt": "0"}]},
        {"prompt": "999999", "completion": "999999"},
    ],
)
def test_a_price_we_cannot_be_sure_of_makes_the_cost_unknown(
    pricing: Mapping[str, object] | None,
) -> None:
    """F46: a missing or malformed price is unknown, never 0."""
    assert cost_of(Usage(5, 5), pricing, now=NOON) == UNKNOWN_COST


@pytest.mark.parametrize("usage", [Usage(), Usage(5), Usage(None, 5), Usage(-5, 5), Usage(5, -5)])
def test_without_token_counts_the_cost_is_unknown(usage: Usage) -> None:
    """F38: usage that is absent or negative leaves the cost unknown."""
    assert cost_of(usage, GLM, now=NOON) == UNKNOWN_COST


# --- conditional prices ---------------------------------------------------------------------------


def prompt_price(override: dict[str, object], *, tokens: int = 1000, now: float = NOON) -> str:
    pricing = {"prompt": "0.000001", "completion": "0", "overrides": [override]}
    cost = cost_of(Usage(tokens, 0), pricing, now=now).nanousd
    return {1000 * tokens: "base", 2000 * tokens: "override"}.get(cost or 0, "neither")


def test_a_long_prompt_price_applies_strictly_above_its_threshold() -> None:
    override = {"min_prompt_tokens": 1000, "prompt": "0.000002"}
    assert prompt_price(override, tokens=1000) == "base"
    assert prompt_price(override, tokens=1001) == "override"


@pytest.mark.parametrize(
    ("start", "end", "at", "expected"),
    [
        (1200, 1400, "12:00", "override"),
        (1200, 1400, "13:59", "override"),
        (1200, 1400, "14:00", "base"),
        (1200, 1400, "11:59", "base"),
        (2200, 600, "23:30", "override"),
        (2200, 600, "05:59", "override"),
        (2200, 600, "06:00", "base"),
        (2200, 600, "12:00", "base"),
    ],
)
def test_a_time_window_is_half_open_and_may_wrap_past_midnight(
    start: int, end: int, at: str, expected: str
) -> None:
    override = {"utc_start": start, "utc_end": end, "prompt": "0.000002"}
    now = datetime.fromisoformat(f"2026-01-31T{at}:30Z").timestamp()
    assert prompt_price(override, now=now) == expected


def test_a_price_may_hold_on_certain_days() -> None:
    assert prompt_price({"utc_days": ["saturday"], "prompt": "0.000002"}) == "override"
    assert prompt_price({"utc_days": ["sunday"], "prompt": "0.000002"}) == "base"


def test_every_condition_of_an_entry_must_hold() -> None:
    override = {"min_prompt_tokens": 10, "utc_start": 1300, "utc_end": 1400, "prompt": "0.000002"}
    assert prompt_price(override) == "base"


def test_later_entries_win_key_by_key() -> None:
    pricing = {
        **GLM,
        "overrides": [
            {"min_prompt_tokens": 1, "prompt": "0.000002", "completion": "0.000003"},
            {"min_prompt_tokens": 2, "prompt": "0.000004"},
        ],
    }
    assert computed(10, 10, pricing) == 10 * 4000 + 10 * 3000


def test_no_overrides_at_all_may_be_written_as_null() -> None:
    assert computed(10, 0, {**GLM, "overrides": None}) == 6000


# --- prices that moved ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"prompt": "1"}, {"prompt": "10"}, False),
        ({"prompt": "1"}, {"prompt": "10.1"}, True),
        ({"prompt": "1"}, {"prompt": "0.1"}, False),
        ({"prompt": "1"}, {"prompt": "0.09"}, True),
        ({"prompt": "1"}, {"prompt": "0"}, True),
        ({"prompt": "0"}, {"prompt": "1"}, True),
        ({"prompt": "0"}, {"prompt": "0"}, False),
        ({"prompt": "1", "completion": "1"}, {"prompt": "1", "completion": "1000"}, True),
        ({"prompt": "1"}, {}, False),
        ({"prompt": "-1"}, {"prompt": "1"}, False),
    ],
)
def test_a_price_is_implausible_beyond_ten_times_either_way(
    old: dict[str, object], new: dict[str, object], expected: bool
) -> None:
    """F46: a price that moves by a factor of a thousand is more likely a mistake."""
    assert is_implausible(old, new) is expected
