"""How the journal tells of the frequent request: one that its first and only call answers.

Two entries say what would otherwise take five, and what many requests have in common lies apart,
so that it is read once for all of them. As in `entry`, field order is the wire order.
"""

from typing import Generic, TypeVar

from msgspec import Raw, Struct

from llm_router.ledger.cost import CostSource

S = TypeVar("S")
L = TypeVar("L")


class SentLabels(Struct, frozen=True, array_like=True, gc=False):
    """What a request that is sent has in common with many others, so that SQLite is told it once.

    `model` is asked for.
    """

    requested_model: str | None
    is_stream: bool
    client_key: str | None
    category: str
    classifier: str
    runner_up: str | None
    skipped: str | None
    left_out: str | None
    model: str


class ServedLabels(Struct, frozen=True, array_like=True, gc=False):
    """What its answer has in common with many others. `answered_as` is the model's name there."""

    answered_as: str | None
    provider: str | None
    cost_source: CostSource
    note: str | None


class Sent(Struct, Generic[L], frozen=True, array_like=True, gc=False):
    """What a request begins with, up to its first call, which leaves.

    `labels` are SentLabels, read as they lie there: few are unlike all others.
    """

    labels: L
    at: float
    session: str | None
    confidence: float | None
    classifier_ms: int
    rule: str | None
    runner_up_confidence: float | None
    sent_at: float


class RequestSent(Struct, Generic[S], frozen=True, array_like=True, gc=False, tag="rx"):
    """A request's first call is about to leave. The call's id is `<id>.1`.

    `sent` is a Sent, read as it lies there, because what follows mostly says it again.
    """

    id: str
    sent: S


class RequestServed(Struct, Generic[S, L], frozen=True, array_like=True, gc=False, tag="rv"):
    """All there is to say of a request that its first and only call answered, and of that call.

    Both are completed, with status 200, and their cost is known. `labels` are ServedLabels.
    """

    id: str
    sent: S
    labels: L
    generation_id: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    nanousd: int
    attempt_first_chunk_ms: int | None
    attempt_ms: int
    finished_at: float
    time_to_first_chunk_ms: int | None
    total_ms: int
    overhead_ms: int


ReadServed = RequestServed[Sent[Raw], Raw]
