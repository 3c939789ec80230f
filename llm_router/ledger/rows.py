"""What one batch of journal entries comes to: rows, and how far the journal is moved by them."""

from dataclasses import dataclass, field

from msgspec import Struct

from llm_router.ledger.cost import CostSource
from llm_router.ledger.entry import (
    BreakerChanged,
    Kind,
    Outcome,
    SessionKept,
    ShadowDecided,
    TextKept,
)
from llm_router.ledger.served import Groups


class RequestRow(Struct, gc=False):
    """What a batch says of one request; None where it says nothing. Fields are columns."""

    id: str
    process: str
    started_at: str
    requested_model: str | None = None
    is_stream: int = 0
    client_key: str | None = None
    session: str | None = None
    category: str | None = None
    classifier: str | None = None
    confidence: float | None = None
    classifier_ms: int | None = None
    finished_at: str | None = None
    outcome: Outcome | None = None
    http_status: int | None = None
    error_class: str | None = None
    served_model: str | None = None
    attempts: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_nanousd: int | None = None
    cost_source: CostSource | None = None
    time_to_first_chunk_ms: int | None = None
    total_ms: int | None = None
    overhead_ms: int | None = None
    rule: str | None = None
    runner_up: str | None = None
    runner_up_confidence: float | None = None
    skipped: str | None = None
    left_out: str | None = None


class AttemptRow(Struct, gc=False):
    """What a batch says of one upstream call; None where it says nothing. Fields are columns."""

    id: str
    process: str
    started_at: str
    request_id: str = ""
    seq: int = 0
    kind: Kind = "chat"
    model: str = ""
    served_model: str | None = None
    provider: str | None = None
    generation_id: str | None = None
    finished_at: str | None = None
    outcome: Outcome | None = None
    http_status: int | None = None
    error_class: str | None = None
    note: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_nanousd: int | None = None
    cost_source: CostSource | None = None
    time_to_first_chunk_ms: int | None = None
    total_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """How far a batch moves one journal segment; it is void unless that begins at `start`."""

    segment: str
    start: int
    end: int


@dataclass(slots=True)
class Batch:
    """Rows and the journal positions they came from: written together or not at all.

    `begun` are the ids of those requests and attempts whose beginning is among the entries, so no
    earlier batch should have written them. `served` are whole requests beside these, by process
    and labels; so are those that `ended` here and began in an earlier batch.
    """

    requests: dict[str, RequestRow] = field(default_factory=dict)
    attempts: dict[str, AttemptRow] = field(default_factory=dict)
    served: Groups = field(default_factory=dict)
    ended: Groups = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    breakers: list[BreakerChanged] = field(default_factory=list)
    shadows: list[ShadowDecided] = field(default_factory=list)
    sessions: list[SessionKept] = field(default_factory=list)
    texts: list[TextKept] = field(default_factory=list)
    advances: list[Advance] = field(default_factory=list)
