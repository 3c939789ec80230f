"""Writing a batch: the rows of the journal's entries, and how far it has been moved.

Rows that begin in the batch, or are told as a whole, are inserted by the dozen and counted
together. All others may be there already; they are merged into what is, and triggers count what
changed. For those which are not, there must be something to change.
"""

import sqlite3
from collections.abc import Collection
from typing import TypeVar

from msgspec.structs import astuple

from llm_router.errors import StorageError
from llm_router.ledger.fold import rows_of
from llm_router.ledger.rows import Advance, AttemptRow, Batch, RequestRow
from llm_router.storage import breakers, costs, served, sessions, shadows, texts
from llm_router.storage.inserts import Insert, portions
from llm_router.storage.tally import Totals

# Saying nothing (NULL) never unsays anything; what is said later corrects what was said before.
# A known cost keeps its source when a correction does not know the cost.
_CORRECT_REQUEST = """
ON CONFLICT (id) DO UPDATE SET
    category               = coalesce(excluded.category, category),
    classifier             = coalesce(excluded.classifier, classifier),
    confidence             = coalesce(excluded.confidence, confidence),
    classifier_ms          = coalesce(excluded.classifier_ms, classifier_ms),
    finished_at            = coalesce(excluded.finished_at, finished_at),
    outcome                = coalesce(excluded.outcome, outcome),
    http_status            = coalesce(excluded.http_status, http_status),
    error_class            = coalesce(excluded.error_class, error_class),
    served_model           = coalesce(excluded.served_model, served_model),
    attempts               = max(excluded.attempts, attempts),
    prompt_tokens          = coalesce(excluded.prompt_tokens, prompt_tokens),
    completion_tokens      = coalesce(excluded.completion_tokens, completion_tokens),
    cached_tokens          = coalesce(excluded.cached_tokens, cached_tokens),
    reasoning_tokens       = coalesce(excluded.reasoning_tokens, reasoning_tokens),
    cost_nanousd           = coalesce(excluded.cost_nanousd, cost_nanousd),
    cost_source            = CASE WHEN excluded.cost_nanousd IS NULL AND cost_nanousd IS NOT NULL
                                  THEN cost_source
                                  ELSE coalesce(excluded.cost_source, cost_source) END,
    time_to_first_chunk_ms = coalesce(excluded.time_to_first_chunk_ms, time_to_first_chunk_ms),
    total_ms               = coalesce(excluded.total_ms, total_ms),
    overhead_ms            = coalesce(excluded.overhead_ms, overhead_ms),
    rule                   = coalesce(excluded.rule, rule),
    runner_up              = coalesce(excluded.runner_up, runner_up),
    runner_up_confidence   = coalesce(excluded.runner_up_confidence, runner_up_confidence),
    skipped                = coalesce(excluded.skipped, skipped),
    left_out               = coalesce(excluded.left_out, left_out)
"""

_CORRECT_ATTEMPT = """
ON CONFLICT (id) DO UPDATE SET
    served_model           = coalesce(excluded.served_model, served_model),
    provider               = coalesce(excluded.provider, provider),
    generation_id          = coalesce(excluded.generation_id, generation_id),
    finished_at            = coalesce(excluded.finished_at, finished_at),
    outcome                = coalesce(excluded.outcome, outcome),
    http_status            = coalesce(excluded.http_status, http_status),
    error_class            = coalesce(excluded.error_class, error_class),
    note                   = coalesce(excluded.note, note),
    prompt_tokens          = coalesce(excluded.prompt_tokens, prompt_tokens),
    completion_tokens      = coalesce(excluded.completion_tokens, completion_tokens),
    cached_tokens          = coalesce(excluded.cached_tokens, cached_tokens),
    reasoning_tokens       = coalesce(excluded.reasoning_tokens, reasoning_tokens),
    cost_nanousd           = coalesce(excluded.cost_nanousd, cost_nanousd),
    cost_source            = CASE WHEN excluded.cost_nanousd IS NULL AND cost_nanousd IS NOT NULL
                                  THEN cost_source
                                  ELSE coalesce(excluded.cost_source, cost_source) END,
    time_to_first_chunk_ms = coalesce(excluded.time_to_first_chunk_ms, time_to_first_chunk_ms),
    total_ms               = coalesce(excluded.total_ms, total_ms)
"""

_REQUEST_FIELDS, _ATTEMPT_FIELDS = RequestRow.__struct_fields__, AttemptRow.__struct_fields__
_REQUEST = f"requests ({', '.join(_REQUEST_FIELDS)})"
_ATTEMPT = f"attempts ({', '.join(_ATTEMPT_FIELDS)})"

_ADD_REQUESTS = Insert(_REQUEST, len(_REQUEST_FIELDS))
_ADD_ATTEMPTS = Insert(_ATTEMPT, len(_ATTEMPT_FIELDS))
# A row that nobody has begun yet is one in flight.
_BEGINNING = 7
_BEGIN_REQUESTS, _BEGIN_ATTEMPTS = (
    Insert(
        f"{table} ({', '.join(fields[:_BEGINNING])})",
        _BEGINNING,
        "ON CONFLICT DO NOTHING",
    )
    for table, fields in (("requests", _REQUEST_FIELDS), ("attempts", _ATTEMPT_FIELDS))
)
_MERGE_REQUESTS = Insert(_REQUEST, len(_REQUEST_FIELDS), _CORRECT_REQUEST)
_MERGE_ATTEMPTS = Insert(_ATTEMPT, len(_ATTEMPT_FIELDS), _CORRECT_ATTEMPT)

_MOVE_OFFSET = """
INSERT INTO journal_offsets (segment, offset) VALUES (?1, ?3)
ON CONFLICT (segment) DO UPDATE SET offset = excluded.offset WHERE offset = ?2
"""

Row = TypeVar("Row", RequestRow, AttemptRow)


def write(db: sqlite3.Connection, batch: Batch, known: served.Known) -> None:
    """Write all of it, inside the caller's transaction; `known` is of that connection."""
    for advance in batch.advances:
        _move(db, advance)
    if batch.requests or batch.attempts or batch.served or batch.ended:
        _write_rows(db, batch, known)
        _complete_costs(db, batch)
    if batch.breakers:
        breakers.write_changes(db, batch.breakers)
    if batch.shadows:
        shadows.write(db, batch.shadows)
    if batch.sessions:
        sessions.write(db, batch.sessions)
    if batch.texts:
        texts.write(db, batch.texts)


def _move(db: sqlite3.Connection, advance: Advance) -> None:
    """Advance a journal offset, unless somebody else did since it was read."""
    moved = db.execute(_MOVE_OFFSET, (advance.segment, advance.start, advance.end))
    if moved.rowcount != 1:
        raise StorageError(f"journal {advance.segment} is being read by two at once")


def _write_rows(db: sqlite3.Connection, batch: Batch, known: served.Known) -> None:
    totals = Totals()
    if batch.served:
        served.write(db, batch.served, totals, known)
    unknown = served.replace(db, batch.ended, totals, known) if batch.ended else {}
    new_requests, requests = _add(db, _ADD_REQUESTS, batch.requests.values(), batch.begun)
    new_attempts, attempts = _add(db, _ADD_ATTEMPTS, batch.attempts.values(), batch.begun)
    if new_requests or new_attempts:
        totals.add_rows(new_requests, new_attempts)
    totals.write(db)
    for group in unknown.values():
        for entry in group.entries:
            request, attempt = rows_of(entry, group.process)
            _merge(db, _BEGIN_REQUESTS, _MERGE_REQUESTS, [request])
            _merge(db, _BEGIN_ATTEMPTS, _MERGE_ATTEMPTS, [attempt])
    _merge(db, _BEGIN_REQUESTS, _MERGE_REQUESTS, requests)
    _merge(db, _BEGIN_ATTEMPTS, _MERGE_ATTEMPTS, attempts)


def _add(
    db: sqlite3.Connection, insert: Insert, rows: Collection[Row], begun: Collection[str]
) -> tuple[list[Row], list[Row]]:
    """Insert the rows that begin here; return them, and those that must be merged instead."""
    added: list[Row] = []
    others = [row for row in rows if row.id not in begun]
    new = [row for row in rows if row.id in begun]
    start = 0
    for size in portions(len(new)):
        some = new[start : start + size]
        start += size
        try:
            insert.write(db, map(astuple, some))
        except sqlite3.IntegrityError:
            # One of them is there after all, or the schema forbids it: merging will tell.
            if not db.in_transaction:
                raise
            others += some
        else:
            added += some
    return added, others


def _merge(
    db: sqlite3.Connection, begin: Insert, merge: Insert, rows: Collection[RequestRow | AttemptRow]
) -> None:
    if not rows:
        return
    values = [astuple(row) for row in rows]
    begin.write(db, [row[:_BEGINNING] for row in values])
    merge.write(db, values)


def _complete_costs(db: sqlite3.Connection, batch: Batch) -> None:
    if not batch.requests and not batch.attempts:
        return
    ended = [row for row in batch.attempts.values() if row.outcome is not None]
    costs.ask_for(db, [row.id for row in ended if row.cost_nanousd is None])
    requests = batch.requests
    costs.sum_up(db, [row.id for row in requests.values() if row.cost_source == "unknown"])
    # A call may end after its request did, for instance one that asked a classifier.
    costs.sum_up_requests_of(
        db, [row.id for row in ended if not _has_ended(row.request_id, requests)]
    )


def _has_ended(request_id: str, requests: dict[str, RequestRow]) -> bool:
    request = requests.get(request_id)
    return request is not None and request.outcome is not None
