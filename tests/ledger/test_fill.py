import pytest

from llm_router.ledger.cost import Cost, Usage
from tests.ledger.entries import (
    T0,
    attempt_finished,
    attempt_started,
    fold,
    request_finished,
    request_started,
)


def test_a_correction_replaces_the_outcome_and_keeps_what_it_does_not_mention() -> None:
    later = request_finished(outcome="truncated", cost=None, source="unknown", at=T0 + 3)
    row = fold(request_started(), request_finished(), later).requests["r1"]
    assert (row.outcome, row.finished_at) == ("truncated", "2026-01-31T12:00:03.000Z")
    assert (row.cost_nanousd, row.cost_source) == (1500, "provider")


def test_a_cost_that_becomes_known_takes_its_source_along() -> None:
    first = attempt_finished(cost=None, source="unknown")
    row = fold(attempt_started(), first, attempt_finished(cost=7, source="estimated"))
    assert (row.attempts["a1"].cost_nanousd, row.attempts["a1"].cost_source) == (7, "estimated")


@pytest.mark.parametrize("count", [-1, 2**63, 10**12], ids=["negative", "too wide", "absurd"])
def test_counts_that_no_column_holds_are_unknown(count: int) -> None:
    """F38: whatever a provider claims, the row is valid."""
    usage = Usage(count, count, count, count)
    row = fold(attempt_started(), attempt_finished(cost=5, usage=usage)).attempts["a1"]
    assert row.prompt_tokens is row.completion_tokens is None
    assert row.cached_tokens is row.reasoning_tokens is None
    assert row.cost_nanousd == 5


@pytest.mark.parametrize("cost", [-1, 10**16], ids=["negative", "absurd"])
def test_a_cost_that_cannot_be_is_unknown(cost: int) -> None:
    row = fold(attempt_started(), attempt_finished(cost=cost)).attempts["a1"]
    assert (row.cost_nanousd, row.cost_source) == (None, "unknown")


def test_milliseconds_are_cut_like_everywhere_else() -> None:
    row = fold(request_started(at=T0 + 0.1239)).requests["r1"]
    assert row.started_at == "2026-01-31T12:00:00.123Z"
    assert fold(request_started(at=T0 - 0.001)).requests["r1"].started_at.endswith(":59.999Z")


def test_unknown_cost_is_never_zero() -> None:
    row = fold(attempt_started(), attempt_finished(cost=None, source="unknown")).attempts["a1"]
    assert Cost(row.cost_nanousd, row.cost_source or "provider") == Cost(None, "unknown")
