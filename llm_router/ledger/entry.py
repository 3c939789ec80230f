"""What the journal carries: facts about requests, attempts and breakers, each written once.

A process appends these as they happen; the ingesting process folds them into rows. Times are unix
seconds, durations milliseconds, money nano-USD. Field order is the wire order (`array_like`): only
append fields, with a default, so that an older journal can still be read.
"""

from typing import Generic, Literal, TypeVar

from msgspec import Raw, Struct

Outcome = Literal["completed", "failed", "truncated", "abandoned", "lost"]
CostSource = Literal["provider", "reconciled", "computed", "estimated", "unknown"]
Kind = Literal["chat", "classifier"]

S = TypeVar("S")
L = TypeVar("L")


class Usage(Struct, frozen=True, array_like=True, gc=False):
    """Token counts as the provider sent them; `cached` and `reasoning` lie inside the other two."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class Cost(Struct, frozen=True, array_like=True, gc=False):
    """`nanousd` is None exactly when `source` is "unknown"."""

    nanousd: int | None
    source: CostSource


UNKNOWN_COST = Cost(None, "unknown")
REFUSED_COST = Cost(0, "computed")  # refused with an error status before any event
NO_USAGE = Usage()


class RequestStarted(Struct, frozen=True, array_like=True, gc=False, tag="rs"):
    id: str
    at: float
    requested_model: str | None
    is_stream: bool
    client_key: str | None
    session: str | None


class RequestDecided(Struct, frozen=True, array_like=True, gc=False, tag="rd"):
    id: str
    category: str
    classifier: str
    confidence: float | None
    classifier_ms: int
    rule: str | None = None
    runner_up: str | None = None
    runner_up_confidence: float | None = None
    skipped: str | None = None


class RequestFinished(Struct, frozen=True, array_like=True, gc=False, tag="rf"):
    """`cost` is the sum over the attempts so far; usage is that of the attempt that served.

    `left_out` is a JSON object: candidates that were not asked, and why.
    """

    id: str
    at: float
    outcome: Outcome
    http_status: int | None
    error_class: str | None
    served_model: str | None
    attempts: int
    usage: Usage
    cost: Cost
    time_to_first_chunk_ms: int | None
    total_ms: int
    overhead_ms: int | None
    left_out: str | None = None


class AttemptStarted(Struct, frozen=True, array_like=True, gc=False, tag="as"):
    """Journaled before the call leaves. `model` is the full id that was asked for."""

    id: str
    request_id: str
    seq: int
    kind: Kind
    model: str
    at: float


class AttemptAnswered(Struct, frozen=True, array_like=True, gc=False, tag="aa"):
    """The provider named the generation, so its cost can be asked for whatever happens next."""

    id: str
    generation_id: str


class AttemptFinished(Struct, frozen=True, array_like=True, gc=False, tag="af"):
    id: str
    at: float
    outcome: Outcome
    http_status: int | None
    error_class: str | None
    served_model: str | None
    provider: str | None
    generation_id: str | None
    usage: Usage
    cost: Cost
    time_to_first_chunk_ms: int | None
    total_ms: int
    note: str | None = None


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


class ShadowDecided(Struct, frozen=True, array_like=True, gc=False, tag="sd"):
    """What the classifier in force decided on a text, and what another mode says to it."""

    request_id: str
    at: float
    classifier: str
    category: str
    confidence: float | None
    shadow_mode: str
    shadow_classifier: str
    shadow_category: str
    shadow_confidence: float | None
    shadow_ms: int


class TextKept(Struct, frozen=True, array_like=True, gc=False, tag="tk"):
    """What was asked and answered, only where the operator wants it kept."""

    request_id: str
    at: float
    prompt: str
    answer: str


class SessionKept(Struct, frozen=True, array_like=True, gc=False, tag="sk"):
    """What a session stays with from now on. `client_key` is "" where there is none."""

    session: str
    client_key: str
    at: float
    category: str
    classifier: str
    confidence: float | None
    model: str


class BreakerChanged(Struct, frozen=True, array_like=True, gc=False, tag="bc"):
    """The whole state of one breaker or gate after a change; a transition when the state moved.

    `subject` is a full model id or `gate:account`, `gate:transport`, `gate:rate`. `stamp` orders
    the changes of one subject, whichever process made them; 0 is from before there were stamps.
    `word` is an operator's: a state that holds until the next one, or the end of that; with
    "reset" the breaker begins anew. None says nothing about it.
    """

    subject: str
    at: float
    from_state: str
    to_state: str
    reason: str
    request_id: str | None
    until: float | None
    until_boot_s: float | None
    cooldown_until: float | None
    cooldown_boot_s: float | None
    boot_id: str | None
    failures: int
    wait_s: float | None
    stamp: int = 0
    word: Literal["open", "closed", "off", "reset"] | None = None


Plain = (
    RequestStarted
    | RequestDecided
    | RequestFinished
    | AttemptStarted
    | AttemptAnswered
    | AttemptFinished
    | BreakerChanged
    | ShadowDecided
    | SessionKept
    | TextKept
)
Entry = Plain | RequestSent[Sent[SentLabels]] | RequestServed[Sent[SentLabels], ServedLabels]
ReadServed = RequestServed[Sent[Raw], Raw]
ReadEntry = Plain | RequestSent[Raw] | ReadServed
