"""Writing requests that were begun and served within one batch: rows that are new and whole.

What they have in common with others is written once, to a table of this connection's own, and
SQLite takes it from there: to hand it a value costs several times what it takes to copy one.
"""

import sqlite3
from collections.abc import Collection, Iterable
from typing import Any

from msgspec import Raw
from msgspec.structs import astuple

from llm_router.ledger.entry import Labels, RequestServed
from llm_router.ledger.served import Served
from llm_router.ledger.stamps import stamp
from llm_router.storage.inserts import NULL, Insert
from llm_router.storage.tally import Totals

_MAKE_LABELS = """
CREATE TEMP TABLE IF NOT EXISTS served_labels (
    label INTEGER PRIMARY KEY, process, requested_model, is_stream, client_key, category,
    classifier, runner_up, skipped, left_out, model, answered_as, provider, cost_source, note
)
"""
_FORGET_LABELS = "DELETE FROM temp.served_labels"
_LABELS = Insert("temp.served_labels", 15)

# Both name their values first, then say which column takes which. CROSS JOIN: SQLite shall
# look up a label for each row, not the other way round.
_ADD_REQUESTS = Insert(
    """
    requests (
        id, process, started_at, requested_model, is_stream, client_key, session, category,
        classifier, confidence, classifier_ms, finished_at, outcome, http_status, served_model,
        attempts, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, cost_nanousd,
        cost_source, time_to_first_chunk_ms, total_ms, overhead_ms, rule, runner_up,
        runner_up_confidence, skipped, left_out
    )
    WITH v (
        label, id, started_at, finished_at, session, confidence, classifier_ms, rule,
        runner_up_confidence, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens,
        cost_nanousd, time_to_first_chunk_ms, total_ms, overhead_ms
    ) AS (
    """,
    17,
    """
    )
    SELECT
        id, process, started_at, requested_model, is_stream, client_key, session, category,
        classifier, confidence, classifier_ms, finished_at, 'completed', 200, model, 1,
        prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, cost_nanousd,
        cost_source, time_to_first_chunk_ms, total_ms, overhead_ms, rule, runner_up,
        runner_up_confidence, skipped, left_out
    FROM v CROSS JOIN temp.served_labels l ON l.label = v.label
    """,
)
_ADD_ATTEMPTS = Insert(
    """
    attempts (
        id, process, started_at, request_id, seq, kind, model, served_model, provider,
        generation_id, finished_at, outcome, http_status, note, prompt_tokens, completion_tokens,
        cached_tokens, reasoning_tokens, cost_nanousd, cost_source, time_to_first_chunk_ms, total_ms
    )
    WITH v (
        label, id, started_at, finished_at, generation_id, prompt_tokens, completion_tokens,
        cached_tokens, reasoning_tokens, cost_nanousd, time_to_first_chunk_ms, total_ms
    ) AS (
    """,
    12,
    """
    )
    SELECT
        id || '.1', process, started_at, id, 1, 'chat', model, answered_as, provider,
        generation_id, finished_at, 'completed', 200, note, prompt_tokens, completion_tokens,
        cached_tokens, reasoning_tokens, cost_nanousd, cost_source, time_to_first_chunk_ms, total_ms
    FROM v CROSS JOIN temp.served_labels l ON l.label = v.label
    """,
)


def write(db: sqlite3.Connection, groups: Collection[Served], totals: Totals) -> None:
    """Insert and count them; sqlite3.IntegrityError if one of them is there already."""
    db.execute(_MAKE_LABELS)
    db.execute(_FORGET_LABELS)
    _LABELS.write(db, [(g.number, g.process, *astuple(g.labels)) for g in groups])
    requests: list[Any] = []
    attempts: list[Any] = []
    for group in groups:
        some_requests, some_attempts = _values(group.number, group.entries)
        _count(totals, group.labels, some_requests, some_attempts)
        requests += some_requests
        attempts += some_attempts
    _ADD_REQUESTS.write_values(db, requests)
    _ADD_ATTEMPTS.write_values(db, attempts)


def _values(label: int, entries: Iterable[RequestServed[Raw]]) -> tuple[list[Any], list[Any]]:
    """Return row after row of both tables, in the order of their columns above."""
    requests: list[Any] = []
    attempts: list[Any] = []
    for entry in entries:
        finished_at = stamp(entry.finished_at)
        paid = (
            NULL if (count := entry.prompt_tokens) is None else count,
            NULL if (count := entry.completion_tokens) is None else count,
            NULL if (count := entry.cached_tokens) is None else count,
            NULL if (count := entry.reasoning_tokens) is None else count,
            entry.nanousd,
        )
        requests += (
            label,
            entry.id,
            stamp(entry.at),
            finished_at,
            NULL if entry.session is None else entry.session,
            NULL if (confidence := entry.confidence) is None else confidence,
            entry.classifier_ms,
            NULL if (rule := entry.rule) is None else rule,
            NULL if (confidence := entry.runner_up_confidence) is None else confidence,
            *paid,
            NULL if (ms := entry.time_to_first_chunk_ms) is None else ms,
            entry.total_ms,
            entry.overhead_ms,
        )
        attempts += (
            label,
            entry.id,
            stamp(entry.sent_at),
            finished_at,
            NULL if (id := entry.generation_id) is None else id,
            *paid,
            NULL if (ms := entry.attempt_first_chunk_ms) is None else ms,
            entry.attempt_ms,
        )
    return requests, attempts


def _count(totals: Totals, labels: Labels, requests: list[Any], attempts: list[Any]) -> None:
    started, tokens, times = 2, slice(5, 10), slice(14, 17)
    columns, calls = _ADD_REQUESTS.columns_of(requests), _ADD_ATTEMPTS.columns_of(attempts)
    totals.add_hours({*columns[started], *calls[started]})
    asked, called = (labels.category, labels.classifier), (labels.model, "chat")
    totals.add_requests((*asked, "completed"), len(columns[0]), columns[times])
    totals.add_attempts((*called, "completed", None), len(calls[0]), calls[tokens])
