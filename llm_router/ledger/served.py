"""Requests that their first and only call answered, which one entry tells from end to end.

It says all that is to say of them, so their rows are whole and need no folding. They are kept by
what they have in common.
"""

import msgspec
from msgspec import Raw, Struct

from llm_router.ledger.entry import (
    AttemptFinished,
    AttemptStarted,
    Cost,
    Labels,
    Plain,
    RequestDecided,
    RequestFinished,
    RequestServed,
    RequestStarted,
    Usage,
)

# What a provider can claim and sums must bear; beyond it the number is unknown.
MAX_TOKENS = 1_000_000_000
MAX_NANOUSD = 10**15

_read_labels = msgspec.msgpack.Decoder(Labels).decode


class Served(Struct, frozen=True):
    """Requests of one process with the same labels."""

    process: str
    labels: Labels
    entries: list[RequestServed[Raw]] = []


Groups = dict[tuple[str, bytes], Served]  # by process and labels


def read_labels(labels: bytes | Raw) -> Labels:
    """Raises ValueError if a program wrote them that knows others."""
    return _read_labels(labels)


def is_sound(entry: RequestServed[Raw]) -> bool:
    """Return whether no column is claimed to hold what none should."""
    # No part of an OR is greater than the whole, and a negative one makes that negative.
    tokens = (
        (entry.prompt_tokens or 0)
        | (entry.completion_tokens or 0)
        | (entry.cached_tokens or 0)
        | (entry.reasoning_tokens or 0)
    )
    return 0 <= tokens <= MAX_TOKENS and 0 <= entry.nanousd <= MAX_NANOUSD


def told(entry: RequestServed[Raw]) -> tuple[Plain, ...]:
    """Return what the entry says in the words of entries that say one thing each."""
    id, labels = entry.id, read_labels(entry.labels)
    usage = Usage(
        entry.prompt_tokens, entry.completion_tokens, entry.cached_tokens, entry.reasoning_tokens
    )
    cost = Cost(entry.nanousd, labels.cost_source)
    return (
        RequestStarted(
            id,
            entry.at,
            labels.requested_model,
            labels.is_stream,
            labels.client_key,
            entry.session,
        ),
        RequestDecided(
            id,
            labels.category,
            labels.classifier,
            entry.confidence,
            entry.classifier_ms,
            entry.rule,
            labels.runner_up,
            entry.runner_up_confidence,
            labels.skipped,
        ),
        AttemptStarted(call_of(id), id, 1, "chat", labels.model, entry.sent_at),
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
            served_model=labels.model,
            attempts=1,
            usage=usage,
            cost=cost,
            time_to_first_chunk_ms=entry.time_to_first_chunk_ms,
            total_ms=entry.total_ms,
            overhead_ms=entry.overhead_ms,
            left_out=labels.left_out,
        ),
    )


def call_of(request_id: str) -> str:
    """Return the id of a request's first call."""
    return f"{request_id}.1"
