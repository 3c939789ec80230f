"""All gates of one process: what operators say to them, and what other processes made of them.

The account's, the transport's and the platform's rate limit stand before every model; each model
that was called has one of its own. Who gets past them is `breaker`'s.
"""

import logging
from collections.abc import Callable, Iterable

from llm_router.clock import Clock
from llm_router.ledger.entry import BreakerChanged
from llm_router.routing.gate import Gate
from llm_router.routing.gate_state import Forced, GateState, Limits, State, Word
from llm_router.routing.model_gates import ModelGates
from llm_router.routing.snapshot import BreakerView, StoredBreaker, change_of, time_left, view_of
from llm_router.settings import BreakerSettings

log = logging.getLogger(__name__)

ACCOUNT = "gate:account"
TRANSPORT = "gate:transport"
RATE = "gate:rate"
ALL = "all"

TRANSPORT_LIMITS = Limits(failures=3, first_wait_s=5.0, longest_wait_s=60.0)
ACCOUNT_LIMITS = Limits(failures=1, first_wait_s=60.0, longest_wait_s=3600.0)


class Gates:
    """`on_change` gets the whole state of a gate after each change.

    `lease_s` is how long a probe may stay silent before another request takes its place.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        clock: Clock,
        on_change: Callable[[BreakerChanged], None],
        *,
        lease_s: float,
        boot_id: str | None,
    ) -> None:
        self._clock = clock
        self._on_change = on_change
        self._lease_s = lease_s
        self._boot_id = boot_id
        self._limits = Limits(settings.failures, settings.open_s, settings.open_s)
        self._latest = 0  # the number of the latest admission
        self._models = ModelGates(
            lambda model: Gate(model, self._limits, self._clock, self._report)
        )
        self._account = Gate(ACCOUNT, ACCOUNT_LIMITS, clock, self._report)
        self._transport = Gate(TRANSPORT, TRANSPORT_LIMITS, clock, self._report)
        self._rate = Gate(RATE, TRANSPORT_LIMITS, clock, self._report)
        shared = (self._account, self._transport, self._rate)
        self._shared = {gate.subject: gate for gate in shared}

    # Operators

    def reset(self, subject: str) -> list[str] | None:
        """Close a model or gate and end its cool-down ("all": every one).

        Return those of which there was something to forget, by name; None if there is none such.
        """
        cleared = {view.subject for view in self.views() if not view.is_clear}
        gates = {**self._shared, **self._models}
        if subject != ALL:
            if subject not in gates:
                return None
            gates = {subject: gates[subject]}
        for gate in gates.values():
            gate.reset(self._latest, "reset by an operator")
        return sorted(cleared & gates.keys())

    def force(self, model: str, to: Forced | None) -> None:
        """Hold a model's breaker open or closed, whatever comes, until it is told otherwise."""
        gate = self._models[model]
        if to is not None:
            gate.force(to, self._latest, f"forced {to} by an operator")
        elif gate.forced is not None:
            gate.force(None, self._latest, "released by an operator")

    def views(self) -> list[BreakerView]:
        """Return the three gates, then the models seen, by name."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        models = [self._models[name] for name in sorted(self._models)]
        return [view_of(gate, now, wall) for gate in (*self._shared.values(), *models)]

    # What other processes made of them

    def restore(self, rows: Iterable[StoredBreaker]) -> None:
        """Take up the state that an earlier process left, whose probes are lost."""
        self.take_up(rows)
        for gate in (*self._shared.values(), *self._models.values()):
            gate.lose_probe()

    def take_up(self, rows: Iterable[StoredBreaker]) -> None:
        """Begin with the state of the rows, with exactly the time remaining.

        Failures count on: a router that is restarted again and again would otherwise never shut a
        model out.
        """
        rows = list(rows)
        self.follow(rows)
        for row in rows:
            if row.state == "closed" and row.failures:
                gate = self._shared.get(row.subject) or self._models[row.subject]
                gate.remember(row.failures)

    def follow(self, rows: Iterable[StoredBreaker]) -> None:
        """Take over what other processes have made of the gates, where that is newer than ours."""
        for row in rows:
            gate = self._shared.get(row.subject) or self._models.get(row.subject)
            limits = self._limits if gate is None else gate.limits
            wait_left_s, cooldown_left_s = time_left(
                row, limits.longest_wait_s, self._clock, self._boot_id
            )
            if gate is None:
                is_well = row.state == "closed" and not cooldown_left_s and row.forced is None
                if is_well and not row.failures:
                    continue
                gate = self._models[row.subject]
            if row.stamp >= gate.stamp:
                gate.take(
                    row,
                    wait_left_s=wait_left_s,
                    cooldown_left_s=cooldown_left_s,
                    latest=self._latest,
                )

    # Inside

    def _report(
        self, gate: GateState, before: State, request_id: str | None, word: Word | None
    ) -> None:
        if gate.state != before or word is not None:
            level = logging.WARNING if gate.state == "open" else logging.INFO
            log.log(
                level, "breaker %s: %s -> %s, %s", gate.subject, before, gate.state, gate.reason
            )
        self._on_change(change_of(gate, before, request_id, self._clock, self._boot_id, word))
