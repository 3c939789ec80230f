"""Who may call which model now: the account's, the provider's and every model's gate.

`admit` asks the gates in this order: the account (a bad key or no credit stops everything), the
transport (the provider cannot be reached), the provider's cool-down, the model's breaker, the
model's cool-down. What an answer does to which gate is decided by `failures.RULES` alone.

While nothing is wrong, admitting and settling read no clock and report nothing.
"""

from collections.abc import Sequence

from llm_router.routing.failures import Failure, FailureClass
from llm_router.routing.gate import Gate
from llm_router.routing.gates import Gates
from llm_router.routing.permits import GateName, Permit, ProbeDue, Refusal
from llm_router.routing.snapshot import LONGEST_COOLDOWN_S

DEFAULT_COOLDOWN_S = 5.0
MODEL_GONE_S = 600.0

# How long the answer to a probe may take once it has begun: as long as a stream may, by default.
ANSWERED_LEASE_S = 1800.0

# What only the operator can mend, in words for whoever reads the log.
_ADVICE = {
    FailureClass.AUTH: "OpenRouter does not accept OPENROUTER_API_KEY",
    FailureClass.NO_CREDIT: "the account at OpenRouter or its key has no credit left",
}


class Breakers(Gates):
    """The gates of one process, as calls meet them. `Gates` says what they are made of."""

    # Admission

    def admit(
        self, model: str, request_id: str, *, past_rate: bool = False
    ) -> Permit | Refusal | ProbeDue:
        """Return a permit, which the caller settles however the attempt ends, or why not.

        `past_rate` is for the request that met the platform's limit: it goes on along its chain,
        and where another model answers, the rest that was asked of all of them is over.
        """
        gate = self._models[model]
        if (
            gate.is_clear
            and self._account.is_clear
            and self._transport.is_clear
            and self._rate.is_clear
        ):
            self._latest += 1
            return Permit(model, request_id, self._latest)
        now = self._clock.monotonic()
        # Every gate is asked before any is entered: a probe is not claimed in vain.
        refusal = self._refusal(gate, now, past_rate)
        if refusal is not None:
            return refusal
        rate = () if past_rate else (self._rate,)
        return self._enter((self._account, self._transport, *rate, gate), now, request_id)

    def peek(self, model: str) -> Refusal | None:
        """Return what `admit` would refuse with; changes nothing."""
        return self._refusal(self._models.get(model), self._clock.monotonic())

    # Settlement

    def answered(self, permit: Permit, lease_s: float = ANSWERED_LEASE_S) -> None:
        """Say that upstream has accepted the call, before it has ended.

        That clears the account and the transport at once: one long stream as their probe would
        hold up everybody. A model's probe keeps its lease for at least `lease_s` from now; the
        model's own success is still the true end.
        """
        if permit.is_settled:
            return
        self._account.passed(permit.number, permit.request_id, has_ended=False)
        self._transport.passed(permit.number, permit.request_id, has_ended=False)
        if permit.past_rate:
            self._rate.warm(permit.request_id)
        if permit.is_probe:
            self._models[permit.model].renew(permit.number, lease_s)

    def succeeded(self, permit: Permit) -> None:
        """Say that the answer reached its true end; whether it was `answered` need not be said."""
        if permit.is_settled:
            return
        permit.is_settled = True
        number, model = permit.number, self._models[permit.model]
        for gate in (self._account, self._transport, model):
            if not gate.is_clear or gate.failed:
                gate.passed(number, permit.request_id)
            elif number > gate.horizon:
                gate.horizon = number
        if permit.past_rate:
            self._rate.warm(permit.request_id)

    def failed(self, permit: Permit, failure: Failure) -> None:
        """Let `failures.RULES` decide what the failure means to which gate."""
        if permit.is_settled:
            return
        permit.is_settled = True
        number, request_id, rule = permit.number, permit.request_id, failure.rule
        reason = _reason(failure)
        gate = self._models[permit.model]

        if rule.cools == "model_gone":
            gate.cool(MODEL_GONE_S, reason, request_id)
        elif rule.cools != "nothing":
            for resting in (gate, self._rate) if failure.rests_all else (gate,):
                wait_s = _clamped(failure.retry_after_s, DEFAULT_COOLDOWN_S)
                resting.cool(wait_s, reason, request_id)

        if rule.counts in ("model", "model_and_transport"):
            gate.failed_with(number, reason, request_id)
        else:
            gate.neutral(number, request_id)

        if rule.counts in ("transport", "model_and_transport"):
            self._transport.failed_with(number, reason, request_id)
        elif rule.is_answer:
            self._transport.passed(number, request_id)
        else:
            self._transport.neutral(number, request_id)

        if rule.closes_account_s is not None:
            wait_s = _clamped(failure.retry_after_s, rule.closes_account_s)
            self._account.failed_with(number, reason, request_id, wait_s)
        else:
            self._account.neutral(number, request_id)

    def neutral(self, permit: Permit) -> None:
        """Say that the attempt ended without telling anything: the client left, we are draining."""
        if permit.is_settled:
            return
        permit.is_settled = True
        if permit.is_probe:
            for gate in (self._account, self._transport, self._models[permit.model]):
                gate.neutral(permit.number, permit.request_id)

    # Inside

    def _enter(
        self, gates: Sequence[Gate], now: float, request_id: str
    ) -> Permit | Refusal | ProbeDue:
        """Let an admission in through gates of which none refuses; the last is the model's."""
        self._latest += 1
        number = self._latest
        # Every gate is entered, whichever of them is the first that needs a probe.
        entered = [gate.enter(number, now, self._lease_s, request_id) for gate in gates]
        past_rate = self._rate not in gates
        return Permit(gates[-1].subject, request_id, number, any(entered), past_rate=past_rate)

    def _refusal(self, model: Gate | None, now: float, past_rate: bool = False) -> Refusal | None:
        asked: list[tuple[GateName, Gate, float]] = [
            ("account", self._account, self._account.wait_left_s(now)),
            ("transport", self._transport, self._transport.wait_left_s(now)),
        ]
        if not past_rate:
            asked.append(("cooldown", self._rate, self._rate.cooldown_left_s(now)))
        if model is not None:
            asked.append(("breaker", model, model.wait_left_s(now)))
            asked.append(("cooldown", model, model.cooldown_left_s(now)))
        refusing = [(name, gate, left) for name, gate, left in asked if left > 0]
        if not refusing:
            return None
        name, gate, _ = refusing[0]
        return Refusal(name, max(left for *_, left in refusing), gate.reason or gate.state)


def _clamped(asked_s: float | None, default_s: float) -> float:
    return default_s if asked_s is None else min(max(asked_s, 1.0), LONGEST_COOLDOWN_S)


def _reason(failure: Failure) -> str:
    """Name the failure without upstream's words: they may quote the prompt."""
    status = f" (HTTP {failure.http_status})" if failure.http_status is not None else ""
    advice = _ADVICE.get(failure.kind)
    return failure.kind.value + status + (f": {advice}" if advice else "")
