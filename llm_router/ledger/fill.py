"""What each plain entry says of its row; `fold` finds the row. The later entry says the truth."""

from llm_router.ledger.cost import Cost, Usage
from llm_router.ledger.entry import (
    AttemptFinished,
    AttemptStarted,
    RequestDecided,
    RequestFinished,
    RequestStarted,
)
from llm_router.ledger.rows import AttemptRow, RequestRow
from llm_router.ledger.served import MAX_NANOUSD, MAX_TOKENS
from llm_router.ledger.stamps import stamp


def request_row(entry: RequestStarted, process: str) -> RequestRow:
    return RequestRow(
        entry.id,
        process,
        stamp(entry.at),
        entry.requested_model,
        int(entry.is_stream),
        entry.client_key,
        entry.session,
    )


def attempt_row(entry: AttemptStarted, process: str) -> AttemptRow:
    return AttemptRow(
        entry.id,
        process,
        stamp(entry.at),
        entry.request_id,
        entry.seq,
        entry.kind,
        entry.model,
    )


def decide(row: RequestRow, entry: RequestDecided) -> None:
    row.category = entry.category
    row.classifier = entry.classifier
    row.confidence = entry.confidence
    row.classifier_ms = entry.classifier_ms
    row.rule = entry.rule
    row.runner_up = entry.runner_up
    row.runner_up_confidence = entry.runner_up_confidence
    row.skipped = entry.skipped


def end_request(row: RequestRow, entry: RequestFinished) -> None:
    _end(row, entry)
    row.attempts = max(entry.attempts, row.attempts)
    if entry.overhead_ms is not None:
        row.overhead_ms = entry.overhead_ms
    if entry.left_out is not None:
        row.left_out = entry.left_out


def end_attempt(row: AttemptRow, entry: AttemptFinished) -> None:
    _end(row, entry)
    if entry.provider is not None:
        row.provider = entry.provider
    if entry.generation_id is not None:
        row.generation_id = entry.generation_id
    if entry.note is not None:
        row.note = entry.note


def _end(row: RequestRow | AttemptRow, entry: RequestFinished | AttemptFinished) -> None:
    """A correction replaces what was said before; saying nothing does not unsay it."""
    row.finished_at = stamp(entry.at)
    row.outcome = entry.outcome
    row.total_ms = entry.total_ms
    if entry.http_status is not None:
        row.http_status = entry.http_status
    if entry.error_class is not None:
        row.error_class = entry.error_class
    if entry.served_model is not None:
        row.served_model = entry.served_model
    if entry.time_to_first_chunk_ms is not None:
        row.time_to_first_chunk_ms = entry.time_to_first_chunk_ms
    _spend(row, entry.usage, entry.cost)


def _spend(row: RequestRow | AttemptRow, usage: Usage, cost: Cost) -> None:
    if (count := usage.prompt_tokens) is not None and 0 <= count <= MAX_TOKENS:
        row.prompt_tokens = count
    if (count := usage.completion_tokens) is not None and 0 <= count <= MAX_TOKENS:
        row.completion_tokens = count
    if (count := usage.cached_tokens) is not None and 0 <= count <= MAX_TOKENS:
        row.cached_tokens = count
    if (count := usage.reasoning_tokens) is not None and 0 <= count <= MAX_TOKENS:
        row.reasoning_tokens = count
    if cost.nanousd is not None and 0 <= cost.nanousd <= MAX_NANOUSD:
        row.cost_nanousd = cost.nanousd
        row.cost_source = cost.source
    elif row.cost_nanousd is None:
        row.cost_source = "unknown"
