"""One call upstream while it is in flight, and how it ended in the words of the journal."""

from msgspec import Struct

from llm_router.ledger.cost import Cost
from llm_router.ledger.entry import AttemptFinished, Kind, Outcome
from llm_router.proxy.facts import Facts


class Attempt(Struct, gc=False):
    """Times are seconds on the monotonic clock."""

    id: str
    kind: Kind
    model: str
    started: float
    first_chunk_ms: int | None = None
    generation_id: str | None = None
    is_over: bool = False

    def finished(
        self,
        at: float,
        total_ms: int,
        outcome: Outcome,
        http_status: int | None,
        error_class: str | None,
        cost: Cost,
        facts: Facts,
        note: str | None,
    ) -> AttemptFinished:
        """Return how it ended, `at` unix seconds."""
        return AttemptFinished(
            id=self.id,
            at=at,
            outcome=outcome,
            http_status=http_status,
            error_class=error_class,
            served_model=facts.model,
            provider=facts.provider,
            generation_id=facts.generation_id or self.generation_id,
            usage=facts.usage,
            cost=cost,
            time_to_first_chunk_ms=self.first_chunk_ms,
            total_ms=total_ms,
            note=note,
        )
