"""A breaker that an operator holds open or closed, whatever comes."""

import pytest

from llm_router.ledger.entry import BreakerChanged
from llm_router.routing import model_gates as module
from llm_router.routing.breaker import Breakers
from llm_router.routing.failures import Failure, FailureClass
from llm_router.routing.gate_state import Forced
from llm_router.routing.gates import ALL
from llm_router.routing.merge import settle
from llm_router.routing.permits import Permit, Refusal
from llm_router.routing.snapshot import StoredBreaker
from llm_router.settings import BreakerSettings
from tests.fakes.clock import Clock

MODEL = "z-ai/glm-5"
YEAR_S = 365 * 86_400.0


class Rows:
    """What several processes make of one model's breaker, as the database would have it."""

    def __init__(self) -> None:
        self.row: StoredBreaker | None = None
        self.history: list[tuple[str, str, str]] = []

    def write(self, change: BreakerChanged) -> None:
        if change.subject == MODEL and (settled := settle(self.row, change)) is not None:
            if settled.is_move:
                self.history.append((change.from_state, change.to_state, change.reason))
            self.row = settled.row

    def all(self) -> list[StoredBreaker]:
        return [] if self.row is None else [self.row]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rows() -> Rows:
    return Rows()


def process(clock: Clock, rows: Rows) -> Breakers:
    """Return the breakers of a process that has just started on these rows."""
    breakers = Breakers(BreakerSettings(), clock, rows.write, lease_s=70, boot_id="boot")
    breakers.restore(rows.all())
    return breakers


@pytest.fixture
def breakers(clock: Clock, rows: Rows) -> Breakers:
    return process(clock, rows)


def permit(breakers: Breakers) -> Permit:
    admitted = breakers.admit(MODEL, "r")
    assert isinstance(admitted, Permit)
    return admitted


def fail(breakers: Breakers, times: int, kind: FailureClass = FailureClass.UPSTREAM_5XX) -> None:
    for _ in range(times):
        breakers.failed(permit(breakers), Failure(kind, "x", retry_after_s=10))


def forced(breakers: Breakers) -> tuple[str, Forced | None]:
    [view] = [view for view in breakers.views() if view.subject == MODEL]
    return view.state, view.forced


def test_held_open_nobody_is_let_in_for_ever(breakers: Breakers, clock: Clock) -> None:
    running = permit(breakers)
    breakers.force(MODEL, "open")
    for _ in range(3):
        refusal = breakers.admit(MODEL, "r")
        assert isinstance(refusal, Refusal)
        assert (refusal.gate, refusal.reason) == ("breaker", "forced open by an operator")
        assert refusal.retry_after_s == 60
        clock.pass_s(YEAR_S)
    breakers.succeeded(running)  # admitted before, and no reason to think again
    assert forced(breakers) == ("open", "open")


def test_held_closed_no_failure_opens_it(breakers: Breakers) -> None:
    breakers.force(MODEL, "closed")
    fail(breakers, 10)
    assert forced(breakers) == ("closed", "closed")
    assert breakers.peek(MODEL) is None


def test_held_closed_a_rest_that_the_provider_asks_for_holds(
    breakers: Breakers, clock: Clock
) -> None:
    breakers.force(MODEL, "closed")
    fail(breakers, 1, FailureClass.RATE_LIMITED)
    refusal = breakers.peek(MODEL)
    assert refusal is not None
    assert refusal.gate == "cooldown"
    clock.pass_s(10)
    permit(breakers)


def test_holding_it_closed_lets_everybody_in_that_was_shut_out(breakers: Breakers) -> None:
    fail(breakers, 3)
    assert breakers.peek(MODEL) is not None
    breakers.force(MODEL, "closed")
    permit(breakers)


@pytest.mark.parametrize("to", ["open", "closed"])
@pytest.mark.parametrize("name", [None, MODEL, ALL], ids=["off", "reset", "reset all"])
def test_released_it_begins_anew(breakers: Breakers, to: Forced, name: str | None) -> None:
    fail(breakers, 2)
    old = permit(breakers)
    breakers.force(MODEL, to)
    if name is None:
        breakers.force(MODEL, None)
    else:
        breakers.reset(name)
    assert forced(breakers) == ("closed", None)
    breakers.failed(old, Failure(FailureClass.UPSTREAM_5XX, "x"))
    fail(breakers, 2)
    assert forced(breakers) == ("closed", None)
    fail(breakers, 1)
    assert forced(breakers) == ("open", None)


def test_releasing_what_nobody_holds_changes_nothing(breakers: Breakers, rows: Rows) -> None:
    fail(breakers, 3)
    breakers.force(MODEL, None)
    assert forced(breakers) == ("open", None)
    assert len(rows.history) == 1


@pytest.mark.parametrize("to", ["open", "closed"])
def test_a_restart_does_not_forget_it(
    clock: Clock, rows: Rows, breakers: Breakers, to: Forced
) -> None:
    breakers.force(MODEL, to)
    clock.pass_s(YEAR_S)
    again = process(clock, rows)
    assert forced(again) == (to, to)
    assert (again.peek(MODEL) is None) == (to == "closed")


def test_each_word_is_in_the_history(breakers: Breakers, rows: Rows) -> None:
    breakers.force(MODEL, "closed")
    breakers.force(MODEL, "open")
    breakers.force(MODEL, None)
    assert rows.history == [
        ("closed", "closed", "forced closed by an operator"),
        ("closed", "open", "forced open by an operator"),
        ("open", "closed", "released by an operator"),
    ]


@pytest.mark.parametrize("to", ["open", "closed"])
def test_what_another_process_concludes_does_not_undo_it(
    clock: Clock, rows: Rows, breakers: Breakers, to: Forced
) -> None:
    other = process(clock, rows)
    fail(other, 2)
    clock.pass_s(1)
    breakers.force(MODEL, to)
    clock.pass_s(1)
    fail(other, 1)  # which has not heard of it yet
    [row] = rows.all()
    assert (row.state, row.forced) == (to, to)
    other.follow([row])
    assert forced(other) == (to, to)


def test_it_is_not_forgotten_for_models_that_clients_made_up(
    breakers: Breakers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T23"""
    monkeypatch.setattr(module, "MAX_MODELS", 16)
    breakers.force(MODEL, "closed")
    for number in range(100):
        breakers.admit(f"made/up-{number}", "r")
    assert forced(breakers) == ("closed", "closed")
