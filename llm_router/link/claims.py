"""Who may probe: of all workers, one at a time for each breaker."""

import logging
from functools import partial

from llm_router.clock import Clock
from llm_router.errors import RouterError
from llm_router.ledger.ingest import Rows
from llm_router.link.messages import ClaimProbe, Refused, Standing
from llm_router.routing.gate_state import PROBE_HINT_S
from llm_router.storage import breakers
from llm_router.storage.sqlite import Database

log = logging.getLogger(__name__)


class ProbeClaims:
    """Lets claims through one after another, and gives back those of workers that are gone."""

    def __init__(self, database: Database, rows: Rows, clock: Clock) -> None:
        self._database = database
        self._rows = rows
        self._clock = clock
        self._held: dict[object, set[str]] = {}  # by worker: the subjects where it claimed last
        self._unwritten: dict[str, float] = {}  # subjects, and when the next may probe there

    async def claim(self, worker: object, question: ClaimProbe) -> Standing | Refused:
        if self._rows.is_failing:
            return self._claim_unwritten(question)
        # What the former probe found may still lie in its process's journal.
        await self._rows.flush()
        claimed = await self._database.transact(
            partial(breakers.claim, moves=question.moves, since=question.since)
        )
        if claimed.is_granted:
            for held in self._held.values():
                held -= question.since.keys()
            self._held.setdefault(worker, set()).update(question.since)
        return Standing(claimed.is_granted, list(claimed.rows))

    def _claim_unwritten(self, question: ClaimProbe) -> Standing | Refused:
        """Grant a claim although nobody will hear what comes of it before rows can be written.

        So the others will probe, too, but not at once. Without this, a provider that was gone for
        seconds would stay shut out for as long as somebody keeps the database locked.
        """
        now = self._clock.monotonic()
        waits = {subject: at for subject, at in self._unwritten.items() if at > now}
        if waits.keys() & question.since.keys():
            return Refused("another probe left a moment ago")
        self._unwritten = waits | dict.fromkeys(question.since, now + PROBE_HINT_S)
        return Standing(True, [], is_unwritten=True)

    async def give_up(self, worker: object) -> None:
        """Let others probe in place of a worker that is gone; else they wait for its lease."""
        probes = self._held.get(worker)  # others may claim some of them meanwhile
        try:
            if probes:
                await self._rows.flush()
                await self._database.transact(
                    partial(breakers.lose_probes, subjects=probes, clock=self._clock)
                )
        except (RouterError, OSError) as exc:
            log.warning("probes of a worker that is gone keep their leases: %s", exc)
        finally:
            self._held.pop(worker, None)
