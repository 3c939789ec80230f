"""Requests that their first and only call answered, which one entry tells from end to end.

It says all that is to say of them, so their rows are whole and need no folding. They are kept by
what they have in common.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from llm_router.ledger.compact import ReadServed, RequestSent, Sent, SentLabels, ServedLabels
from llm_router.ledger.cost import Cost, Usage
from llm_router.ledger.entry import (
    AttemptFinished,
    AttemptStarted,
    Plain,
    RequestDecided,
    RequestFinished,
    RequestStarted,
)

# What a provider can claim and sums must bear; beyond it the number is unknown.
MAX_TOKENS = 1_000_000_000
MAX_NANOUSD = 10**15

_decode_sent = msgspec.msgpack.Decoder(Sent[SentLabels]).decode
_decode_sent_labels = msgspec.msgpack.Decoder(SentLabels).decode
_decode_labels = msgspec.msgpack.Decoder(ServedLabels).decode


class Served(Struct, frozen=True):
    """Requests of one process with the same labels."""

    process: str
    sent_labels: SentLabels
    labels: ServedLabels
    entries: list[ReadServed] = []

    @classmethod
    def like(cls, entry: ReadServed, process: str) -> "Served":
        """Raises ValueError if a program wrote the labels that knows others."""
        return cls(process, _decode_sent_labels(entry.sent.labels), _decode_labels(entry.labels))


Groups = dict[tuple[str, bytes], Served]  # by process and labels


def is_sound(entry: ReadServed) -> bool:
    """Return whether no column is claimed to hold what none should."""
    # No part of an OR is greater than the whole, and a negative one makes that negative.
    tokens = (
        (entry.prompt_tokens or 0)
        | (entry.completion_tokens or 0)
        | (entry.cached_tokens or 0)
        | (entry.reasoning_tokens or 0)
    )
    return 0 <= tokens <= MAX_TOKENS and 0 <= entry.nanousd <= MAX_NANOUSD


def begun(entry: RequestSent[Raw]) -> tuple[Plain, ...]:
    """Return what it says in the words of entries that say one thing each.

    Raises ValueError, as does `told`, if a program wrote it that says it in another way.
    """
    sent = _decode_sent(entry.sent)
    return _beginning(entry.id, sent, sent.labels)


def told(entry: ReadServed) -> tuple[Plain, ...]:
    """The same for all that a served request says, its beginning included."""
    id, sent, labels = (
        entry.id,
        _decode_sent_labels(entry.sent.labels),
        _decode_labels(entry.labels),
    )
    usage = Usage(
        entry.prompt_tokens, entry.completion_tokens, entry.cached_tokens, entry.reasoning_tokens
    )
    cost = Cost(entry.nanousd, labels.cost_source)
    return (
        *_beginning(id, entry.sent, sent),
        AttemptFinished(
            id=call_of(id),
            at=entry.finished_at,
            outcome="completed",
            http_status=200,
            error_class=None,
            served_model=labels.answered_as,
            provider=labels.provider,
            generation_id=entry.generation_id,
            usage=usage,
            cost=cost,
            time_to_first_chunk_ms=entry.attempt_first_chunk_ms,
            total_ms=entry.attempt_ms,
            note=labels.note,
        ),
        RequestFinished(
            id=id,
            at=entry.finished_at,
            outcome="completed",
            http_status=200,
            error_class=None,
            served_model=sent.model,
            attempts=1,
            usage=usage,
            cost=cost,
            time_to_first_chunk_ms=entry.time_to_first_chunk_ms,
            total_ms=entry.total_ms,
            overhead_ms=entry.overhead_ms,
            left_out=sent.left_out,
        ),
    )


def _beginning(id: str, sent: Sent[Any], labels: SentLabels) -> tuple[Plain, ...]:
    return (
        RequestStarted(
            id,
            sent.at,
            labels.requested_model,
            labels.is_stream,
            labels.client_key,
            sent.session,
        ),
        RequestDecided(
            id,
            labels.category,
            labels.classifier,
            sent.confidence,
            sent.classifier_ms,
            sent.rule,
            labels.runner_up,
            sent.runner_up_confidence,
            labels.skipped,
        ),
        AttemptStarted(call_of(id), id, 1, "chat", labels.model, sent.sent_at),
    )


def call_of(request_id: str) -> str:
    """Return the id of a request's first call."""
    return f"{request_id}.1"
