"""What an answer said about itself."""

from msgspec import Struct

from llm_router.ledger.cost import NO_USAGE, Cost, Usage


class Facts(Struct, frozen=True, gc=False):
    """`cost` is None where the answer did not say it."""

    usage: Usage = NO_USAGE
    cost: Cost | None = None
    model: str | None = None
    provider: str | None = None
    generation_id: str | None = None


NO_FACTS = Facts()
