import pytest

from llm_router.ledger.report import (
    NOTHING,
    Latency,
    csv_cell,
    is_over_attempts,
    ledger_row,
    printable,
)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_cell_is_never_a_formula(start: str) -> None:
    """T30: a spreadsheet shows what a client called its model and does not run it."""
    assert csv_cell(start + "HYPERLINK(1)") == "'" + start + "HYPERLINK(1)"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        ("glm", "glm"),
        (7, "7"),
        (0.0, "0"),
        (0.000000001, "0.000000001"),
        (12.5, "12.5"),
    ],
)
def test_a_cell_is_plain_text(value: object, cell: str) -> None:
    assert csv_cell(value) == cell


def test_escapes_do_not_reach_the_terminal() -> None:
    """T25: a model's name may hold anything."""
    assert printable("a\x1b[2J\nb\u202ec") == "a\ufffd[2J\ufffdb\ufffdc"
    assert printable(None) == "-"


def test_groups_by_model_or_provider_are_over_attempts() -> None:
    assert is_over_attempts(("category", "model"))
    assert is_over_attempts(("provider",))
    assert not is_over_attempts(("category", "key", "hour"))


def test_a_row_shows_truth_values_and_dollars() -> None:
    shown = ledger_row({"is_stream": 0, "cost_nanousd": 2_500_000_000})
    assert shown == {"is_stream": False, "cost_usd": 2.5, "cost_nanousd": 2_500_000_000}
    assert shown["is_stream"] is False, "which 0 equals"


def test_nothing_is_zeros_all_over() -> None:
    shown = NOTHING.as_json()
    assert shown["requests"] == shown["cost_nanousd"] == shown["cost_unknown_requests"] == 0
    assert shown["overhead_ms"]["mean"] is None


def test_a_mean_is_shown_to_the_microsecond() -> None:
    assert Latency(mean=1 / 3).as_json()["mean"] == 0.333
