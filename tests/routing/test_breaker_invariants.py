"""What holds for the breaker in every history, tried on thousands of them."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from llm_router.ledger.entry import BreakerChanged
from llm_router.routing.breaker import Breakers
from llm_router.routing.failures import Failure, FailureClass
from llm_router.routing.gate_state import Forced
from llm_router.routing.permits import Permit
from llm_router.routing.snapshot import StoredBreaker
from llm_router.settings import BreakerSettings
from tests.fakes.clock import Clock
from tests.fakes.effort import examples

C = FailureClass
MODELS = ("a/one", "b/two")
OPEN_S = 300.0
LEASE_S = 70.0
YEAR_S = 365 * 86_400.0


class Histories(RuleBasedStateMachine):
    """Two models under every evidence, late and early, across restarts and wall-clock jumps."""

    permits: Bundle[Permit] = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.rows: dict[str, BreakerChanged] = {}
        self.forced: dict[str, Forced | None] = {}
        self.live: dict[str, list[tuple[Permit, float]]] = {model: [] for model in MODELS}
        self.restart_process()

    def note(self, change: BreakerChanged) -> None:
        before = self.rows.get(change.subject)
        # The rows are a chain: each starts in the state where the one before it ended.
        assert change.from_state == (before.to_state if before else "closed")
        is_held = self.forced.get(change.subject) is not None or change.word is not None
        assert (change.until_boot_s is None) == (change.to_state == "closed" or is_held)
        self.rows[change.subject] = change

    def restart_process(self) -> None:
        self.breakers = Breakers(
            BreakerSettings(failures=3, open_s=OPEN_S),
            self.clock,
            self.note,
            lease_s=LEASE_S,
            boot_id="boot",
        )

    def is_held(self, model: str) -> bool:
        """Whether the rows say that the model is open and waiting."""
        if self.forced.get(model) == "open":
            return True
        row = self.rows.get(model)
        return (
            row is not None
            and row.to_state == "open"
            and row.until_boot_s is not None
            and self.clock.now < row.until_boot_s
        )

    @rule(target=permits, model=st.sampled_from(MODELS))
    def ask(self, model: str) -> Permit | MultipleResults[Permit]:
        is_held, foreseen = self.is_held(model), self.breakers.peek(model)
        admitted = self.breakers.admit(model, "r")
        if not isinstance(admitted, Permit):
            assert admitted == foreseen
            assert 0 < admitted.retry_after_s <= 3600
            return multiple()
        assert foreseen is None
        assert not is_held, "admitted while open"
        row = self.rows.get(model)
        if row is not None and row.to_state == "half_open":
            self.live[model].append((admitted, self.clock.now + LEASE_S))
        return admitted

    @rule(permit=consumes(permits), kind=st.sampled_from([None, *C]))
    def settle(self, permit: Permit, kind: FailureClass | None) -> None:
        before = self.view(permit.model)
        if kind is None:
            self.breakers.succeeded(permit)
        else:
            self.breakers.failed(permit, Failure(kind, "x", retry_after_s=2.0))
            rule_ = kind.rule
            if before[0] == "closed" and rule_.counts in ("nothing", "transport"):
                assert self.view(permit.model) == before
        self.live[permit.model] = [each for each in self.live[permit.model] if each[0] != permit]

    @rule(permit=consumes(permits))
    def leave(self, permit: Permit) -> None:
        before = self.view(permit.model)
        self.breakers.neutral(permit)
        after = self.view(permit.model)
        assert after == before or (before[0] == "half_open" and permit.is_probe)
        self.live[permit.model] = [each for each in self.live[permit.model] if each[0] != permit]

    @rule(permit=permits)
    def answer(self, permit: Permit) -> None:
        self.breakers.answered(permit, LEASE_S)
        until = self.clock.now + LEASE_S
        for model, probes in self.live.items():
            self.live[model] = [
                (each, max(ends, until) if each is permit and ends > self.clock.now else ends)
                for each, ends in probes
            ]

    @rule(seconds=st.sampled_from([0.5, 5.0, 60.0, LEASE_S, OPEN_S, 3600.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        self.clock.unix += seconds

    @rule(years=st.sampled_from([-1, 1]))
    def jump(self, years: int) -> None:
        before = [self.breakers.peek(model) for model in MODELS]
        self.clock.unix += years * YEAR_S
        assert [self.breakers.peek(model) for model in MODELS] == before

    @rule()
    def restart(self) -> None:
        before = {model: self.breakers.peek(model) for model in MODELS}
        probing = {v.subject for v in self.breakers.views() if v.state == "half_open"}
        self.restart_process()
        rows = [stored(row, self.forced.get(row.subject)) for row in self.rows.values()]
        self.breakers.restore(rows)
        self.live = {model: [] for model in MODELS}
        for model in MODELS:
            if not probing:
                assert self.breakers.peek(model) == before[model]

    @rule(subject=st.sampled_from([*MODELS, "all"]))
    def reset(self, subject: str) -> None:
        self.forced = {} if subject == "all" else {**self.forced, subject: None}
        self.breakers.reset(subject)
        for model in MODELS if subject == "all" else (subject,):
            self.live[model] = []
            assert self.view(model) in ((), ("closed", 0))

    @rule(model=st.sampled_from(MODELS), to=st.sampled_from([None, "open", "closed"]))
    def force(self, model: str, to: Forced | None) -> None:
        is_changed = to is not None or self.forced.get(model) is not None
        self.forced[model] = to
        self.breakers.force(model, to)
        if is_changed:
            self.live[model] = []
            assert self.view(model) == (to or "closed", 0)

    @invariant()
    def an_operators_word_holds(self) -> None:
        for view in self.breakers.views():
            assert view.forced == self.forced.get(view.subject)
            if view.forced is not None:
                assert view.state == view.forced

    def view(self, model: str) -> tuple[object, ...]:
        return next(
            ((v.state, v.failures) for v in self.breakers.views() if v.subject == model), ()
        ) or ("closed", 0)

    @invariant()
    def one_probe_holds_a_half_open_breaker(self) -> None:
        for view in self.breakers.views():
            if view.is_gate:
                continue
            alive = [permit for permit, ends in self.live[view.subject] if self.clock.now < ends]
            assert len(alive) == (1 if view.state == "half_open" else 0)


def stored(row: BreakerChanged, forced: Forced | None) -> StoredBreaker:
    return StoredBreaker(
        subject=row.subject,
        state=row.to_state,  # type: ignore[arg-type]  # a str on the wire
        since=row.at,
        until=row.until,
        until_boot_s=row.until_boot_s,
        cooldown_until=row.cooldown_until,
        cooldown_boot_s=row.cooldown_boot_s,
        boot_id=row.boot_id,
        reason=row.reason,
        failures=row.failures,
        wait_s=row.wait_s,
        forced=forced,
    )


def test_every_history_keeps_what_the_breaker_promises() -> None:
    """F45 F69 F72 F77 F83: one probe at a time, nobody while open, and each lease ends."""
    run_state_machine_as_test(
        Histories,
        settings=settings(max_examples=examples(80), stateful_step_count=40, deadline=None),
    )


@settings(max_examples=examples(100), deadline=None)
@given(data=st.data(), outcomes=st.lists(st.booleans(), min_size=1, max_size=12))
def test_completion_order_never_matters(data: st.DataObject, outcomes: list[bool]) -> None:
    breakers = Breakers(
        BreakerSettings(failures=100), Clock(), lambda change: None, lease_s=1, boot_id=None
    )
    permits = [breakers.admit("a/one", "r") for _ in outcomes]
    for position in data.draw(st.permutations(range(len(outcomes)))):
        permit = permits[position]
        assert isinstance(permit, Permit)
        if outcomes[position]:
            breakers.succeeded(permit)
        else:
            breakers.failed(permit, Failure(C.UPSTREAM_5XX, "x"))
    in_a_row = len(outcomes) - max((n + 1 for n, good in enumerate(outcomes) if good), default=0)
    assert breakers.views()[-1].failures == in_a_row
