"""What the journal carries: facts about requests, attempts and breakers, each written once.

A process appends these as they happen; the ingesting process folds them into rows. Times are unix
seconds, durations milliseconds, money nano-USD. Field order is the wire order (`array_like`): only
append fields, with a default, so that an older journal can still be read.
"""

from typing import Literal

from msgspec import Raw, Struct

from llm_router.ledger.compact import (
    ReadServed,
    RequestSent,
    RequestServed,
    Sent,
    SentLabels,
    ServedLabels,
)
from llm_router.ledger.cost import Cost, Usage

Outcome = Literal["completed", "failed", "truncated", "abandoned", "lost"]
Kind = Literal["chat", "classifier"]


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
ReadEntry = Plain | RequestSent[Raw] | ReadServed
