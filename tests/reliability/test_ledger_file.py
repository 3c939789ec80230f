"""What a ledger says about itself is found out where it is wrong."""

from typing import Any

import pytest

from reliability.ledger_file import faults_of_rows, faults_of_transitions
from tests.fakes.ledger import CALL_ROW

REQUEST_ROW: dict[str, Any] = {
    "id": "r1",
    "outcome": "completed",
    "finished_at": "2026-01-01T00:00:00.000Z",
    "served_model": "a/one",
    "attempts": 1,
    "cost_nanousd": 7,
    "cost_source": "provider",
}


@pytest.mark.parametrize(
    ("request_", "attempt"),
    [
        ({"attempts": 2}, {}),
        ({"cost_nanousd": 8}, {}),
        ({"cost_nanousd": 7}, {"cost_nanousd": None}),
        ({"cost_source": "unknown"}, {}),
        ({"finished_at": None}, {}),
        ({"served_model": None}, {}),
        ({}, {"outcome": None}),
        ({}, {"request_id": "r2"}),
    ],
    ids=["count", "sum", "unknown", "source", "end", "server", "open call", "orphan"],
)
def test_rows_that_contradict_themselves_are_found_out(
    request_: dict[str, Any], attempt: dict[str, Any]
) -> None:
    assert faults_of_rows([REQUEST_ROW], [CALL_ROW]) == []
    assert faults_of_rows([REQUEST_ROW | request_], [CALL_ROW | attempt])


def test_a_breakers_history_is_a_chain() -> None:
    opened = {"subject": "a/one", "from_state": "closed", "to_state": "open"}
    probed = {"subject": "a/one", "from_state": "open", "to_state": "half_open"}
    assert faults_of_transitions([opened, probed]) == []
    assert faults_of_transitions([opened, opened])
    assert faults_of_transitions([probed])
