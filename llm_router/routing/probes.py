"""The gates of one process among several: whoever wants to probe must claim it first.

Everything else a process decides by itself and tells the others: by its journal, through the rows
that they all read. A probe is different, because the machine may have only one at a time.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from llm_router.clock import Clock
from llm_router.ledger.entry import BreakerChanged
from llm_router.routing.breaker import Breakers
from llm_router.routing.gate import Gate
from llm_router.routing.gate_state import PROBE_HINT_S
from llm_router.routing.merge import Claimed
from llm_router.routing.permits import Permit, ProbeDue, Refusal
from llm_router.settings import BreakerSettings
from llm_router.tasks import spawn

CLAIM_S = 1.0  # how long a request waits for leave to probe


@dataclass(frozen=True, slots=True)
class _Before:
    """What a gate was before a probe entered."""

    gate: Gate
    stamp: int
    reason: str | None


class Claims(Protocol):
    """Who decides between the processes."""

    async def claim(
        self, moves: Sequence[BreakerChanged], since: Mapping[str, int]
    ) -> Claimed | None:
        """Make these moves if every subject's row still has its stamp in `since`.

        None where nobody could be asked in time. Never raises.
        """


class SharedBreakers(Breakers):
    """Like `Breakers`, but a probe is asked for, and refused where nobody can be asked."""

    def __init__(
        self,
        settings: BreakerSettings,
        clock: Clock,
        on_change: Callable[[BreakerChanged], None],
        *,
        lease_s: float,
        boot_id: str | None,
        claims: Claims,
    ) -> None:
        super().__init__(settings, clock, self._moved, lease_s=lease_s, boot_id=boot_id)
        self._tell = on_change
        self._claims = claims
        self._claiming: list[BreakerChanged] | None = None

    def _moved(self, change: BreakerChanged) -> None:
        if self._claiming is None:
            self._tell(change)
        else:
            self._claiming.append(change)  # the claim tells it, by writing the row

    def _enter(
        self, gates: Sequence[Gate], now: float, request_id: str
    ) -> Permit | Refusal | ProbeDue:
        if all(gate.state == "closed" for gate in gates):
            return super()._enter(gates, now, request_id)
        return ProbeDue(partial(self._claim, gates, now, request_id))

    async def _claim(self, gates: Sequence[Gate], now: float, request_id: str) -> Permit | Refusal:
        """Enter at once, so that nobody else here claims meanwhile, and go back if refused."""
        before = [
            _Before(gate, gate.stamp, gate.reason) for gate in gates if gate.state != "closed"
        ]
        since = {each.gate.subject: each.stamp for each in before}
        moves: list[BreakerChanged] = []
        self._claiming = moves
        try:
            permit = super()._enter(gates, now, request_id)
        finally:
            self._claiming = None
        assert isinstance(permit, Permit)
        # A claim that is on its way cannot be called back, so it is not cancelled either.
        asking = spawn(self._claims.claim(moves, since), name="claim-probe")
        decline = partial(self._decline, permit, before)
        try:
            await asyncio.wait((asking,), timeout=CLAIM_S)
        except asyncio.CancelledError:
            asking.add_done_callback(decline)
            raise
        claimed = asking.result() if asking.done() else None
        if claimed is not None and claimed.is_granted:
            for move in moves if claimed.is_unwritten else ():
                self._tell(move)
            return permit
        if asking.done():
            decline(asking)
        else:
            asking.add_done_callback(decline)
        refusal = self._refusal(gates[-1], self._clock.monotonic())
        return refusal or Refusal("breaker", PROBE_HINT_S, "no probe could be claimed")

    def _decline(
        self, permit: Permit, before: Sequence[_Before], asked: asyncio.Task[Claimed | None]
    ) -> None:
        """Leave a probe unused. One that was not granted never was, and nobody is told of it:
        by now it may be another process's, which would lose it.
        """
        claimed = None if asked.cancelled() else asked.result()
        if claimed is None or not claimed.is_granted:
            for each in before:
                each.gate.step_back(permit.number, each.stamp, each.reason)
            self.follow(claimed.rows if claimed is not None else ())
        self.neutral(permit)
