"""Writing requests that one entry tells from end to end: rows that are whole at once.

What they have in common with others is written once, to a table of this connection's own, and
SQLite takes it from there: to hand it a value costs several times what it takes to copy one.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import chain
from random import getrandbits
from typing import Any

from msgspec import json, structs

from llm_router.ledger.compact import ReadServed
from llm_router.ledger.served import Groups
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
_MOST_LABELS = 200

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

# Columns that are counted: when it started, and times of requests, tokens and money of attempts.
_TIMED, _PAID = (2, 14, 15, 16), (2, 5, 6, 7, 8, 9)

_IN_FLIGHT = """
SELECT r.id FROM json_each(?) j
CROSS JOIN requests r ON r.id = j.value AND r.outcome IS NULL
CROSS JOIN attempts a ON a.id = r.id || '.1' AND a.outcome IS NULL
"""
_FORGET_REQUESTS = "DELETE FROM requests WHERE id IN (SELECT value FROM json_each(?))"
_FORGET_ATTEMPTS = "DELETE FROM attempts WHERE id IN (SELECT value || '.1' FROM json_each(?))"

Known = dict[tuple[str, bytes], int]


def write(db: sqlite3.Connection, groups: Groups, totals: Totals, known: Known) -> None:
    """Insert and count them; sqlite3.IntegrityError if one of them is there already.

    `known` are the labels that this connection's table has, by process. They are added to.
    """
    _learn(db, groups, known)
    # Among many labels few differ in what is counted.
    requests: dict[tuple[str, str], list[Any]] = defaultdict(list)
    attempts: dict[str, list[Any]] = defaultdict(list)
    for key, group in groups.items():
        labels = group.sent_labels
        asked = requests[labels.category, labels.classifier]
        _add_values(known[key], group.entries, asked, attempts[labels.model])
    for decided, values in requests.items():
        _count_requests(totals, decided, values)
    for model, values in attempts.items():
        _count_attempts(totals, model, values)
    _ADD_REQUESTS.write_values(db, [*chain.from_iterable(requests.values())])
    _ADD_ATTEMPTS.write_values(db, [*chain.from_iterable(attempts.values())])


def replace(db: sqlite3.Connection, groups: Groups, totals: Totals, known: Known) -> Groups:
    """Insert them in place of their rows in flight; return those that have none.

    To write a row anew costs less than to correct one of which any part may differ.
    """
    asked = [entry.id for group in groups.values() for entry in group.entries]
    found = {id for [id] in db.execute(_IN_FLIGHT, (_array(asked),))}
    begun, others = groups, Groups()
    if len(found) < len(asked):
        begun = _those(groups, lambda id: id in found)
        others = _those(groups, lambda id: id not in found)
    ids = _array(found)
    db.execute(_FORGET_REQUESTS, (ids,))
    db.execute(_FORGET_ATTEMPTS, (ids,))
    write(db, begun, totals, known)
    return others


def _array(ids: Iterable[str]) -> str:
    return json.encode([*ids]).decode()


def _those(groups: Groups, are_meant: Callable[[str], bool]) -> Groups:
    meant = Groups()
    for key, group in groups.items():
        if entries := [entry for entry in group.entries if are_meant(entry.id)]:
            meant[key] = structs.replace(group, entries=entries)
    return meant


def _learn(db: sqlite3.Connection, groups: Groups, known: Known) -> None:
    """Have the labels of all groups in the table."""
    if len(known) > _MOST_LABELS or not _has(db, known):
        known.clear()
        db.execute(_MAKE_LABELS)
        db.execute(_FORGET_LABELS)
    # Numbers that nobody else has, should somebody else write to the same table.
    number = max(known.values(), default=getrandbits(48))
    rows: list[tuple[object, ...]] = []
    for key, group in groups.items():
        if key not in known:
            number += 1
            known[key] = number
            labels = *structs.astuple(group.sent_labels), *structs.astuple(group.labels)
            rows.append((number, group.process, *labels))
    _LABELS.write(db, rows)


def _has(db: sqlite3.Connection, known: Known) -> bool:
    """Whether the table has these, no others, and all: a transaction that fails takes some back."""
    if not known:
        return False
    try:
        found = db.execute("SELECT count(*), max(label) FROM temp.served_labels").fetchone()
    except sqlite3.OperationalError:  # its making was taken back, too
        return False
    return tuple(found) == (len(known), max(known.values()))


def _add_values(
    label: int, entries: Iterable[ReadServed], requests: list[Any], attempts: list[Any]
) -> None:
    """Add row after row of both tables, in the order of their columns above."""
    for entry in entries:
        sent, finished_at = entry.sent, stamp(entry.finished_at)
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
            stamp(sent.at),
            finished_at,
            NULL if sent.session is None else sent.session,
            NULL if (confidence := sent.confidence) is None else confidence,
            sent.classifier_ms,
            NULL if (rule := sent.rule) is None else rule,
            NULL if (confidence := sent.runner_up_confidence) is None else confidence,
            *paid,
            NULL if (ms := entry.time_to_first_chunk_ms) is None else ms,
            entry.total_ms,
            entry.overhead_ms,
        )
        attempts += (
            label,
            entry.id,
            stamp(sent.sent_at),
            finished_at,
            NULL if (id := entry.generation_id) is None else id,
            *paid,
            NULL if (ms := entry.attempt_first_chunk_ms) is None else ms,
            entry.attempt_ms,
        )


def _count_requests(totals: Totals, decided: tuple[str, str], values: list[Any]) -> None:
    [started, *times] = _ADD_REQUESTS.columns_of(values, _TIMED)
    totals.add_hours(started)
    totals.add_requests((*decided, "completed"), len(started), times)


def _count_attempts(totals: Totals, model: str, values: list[Any]) -> None:
    [started, *tokens] = _ADD_ATTEMPTS.columns_of(values, _PAID)
    totals.add_hours(started)
    totals.add_attempts((model, "chat", "completed", None), len(started), tokens)
