"""The ledger's tables: batches of journal entries in, open costs out and back."""

import sqlite3
from collections.abc import Sequence
from operator import attrgetter

import aiosqlite

from llm_router.errors import RowRefused, StorageError
from llm_router.ledger.fold import Advance, AttemptRow, Batch, RequestRow
from llm_router.ledger.reconcile import Generation, OpenCost
from llm_router.storage.breakers import store_changes
from llm_router.storage.sqlite import Database

# Saying nothing (NULL) never unsays anything; what is said later corrects what was said before.
# A known cost keeps its source when a correction does not know the cost.
_WRITE_REQUEST = """
INSERT INTO requests (
    id, process, started_at, requested_model, is_stream, client_key, session, category, classifier,
    confidence, classifier_ms, finished_at, outcome, http_status, error_class, served_model,
    attempts, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, cost_nanousd,
    cost_source, time_to_first_chunk_ms, total_ms, overhead_ms
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
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
    overhead_ms            = coalesce(excluded.overhead_ms, overhead_ms)
"""

_WRITE_ATTEMPT = """
INSERT INTO attempts (
    id, process, started_at, request_id, seq, kind, model, served_model, provider, generation_id,
    finished_at, outcome, http_status, error_class, note, prompt_tokens, completion_tokens,
    cached_tokens, reasoning_tokens, cost_nanousd, cost_source, time_to_first_chunk_ms, total_ms
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
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

_request_values = attrgetter(*RequestRow.__dataclass_fields__)
_attempt_values = attrgetter(*AttemptRow.__dataclass_fields__)

# The weakest source speaks for the sum; what cost a computed 0 (a refusal) adds nothing to doubt.
# An attempt that is counted but has no row (its journal was damaged) leaves the sum unknown.
_SUM_ATTEMPTS = """
UPDATE requests SET (cost_nanousd, cost_source) = (
    SELECT iif(count(cost_nanousd) < max(count(*), requests.attempts),
               NULL, coalesce(sum(cost_nanousd), 0)),
           iif(count(cost_nanousd) < max(count(*), requests.attempts),
               'unknown',
               CASE max(CASE cost_source WHEN 'estimated'  THEN 4
                                         WHEN 'computed'   THEN iif(cost_nanousd = 0, 0, 3)
                                         WHEN 'reconciled' THEN 2
                                         ELSE 1 END)
                   WHEN 4 THEN 'estimated'
                   WHEN 2 THEN 'reconciled'
                   WHEN 1 THEN 'provider'
                   ELSE 'computed' END)
    FROM attempts WHERE request_id = requests.id
)
WHERE cost_nanousd IS NULL AND outcome IS NOT NULL AND id = """
_SUM_FOR_REQUEST = _SUM_ATTEMPTS + "?"
_SUM_FOR_ATTEMPT = _SUM_ATTEMPTS + "(SELECT request_id FROM attempts WHERE id = ?)"

_MOVE_OFFSET = """
INSERT INTO journal_offsets (segment, offset) VALUES (?1, ?3)
ON CONFLICT (segment) DO UPDATE SET offset = excluded.offset WHERE offset = ?2
"""

_ASK_FOR_COST = """
INSERT INTO reconciliations (attempt_id, generation_id, next_try_at)
SELECT id, generation_id, finished_at FROM attempts
WHERE id = ? AND generation_id IS NOT NULL AND cost_nanousd IS NULL
ON CONFLICT DO NOTHING
"""

_ATTEMPTS_IN_FLIGHT = "SELECT id FROM attempts WHERE process = ? AND outcome IS NULL"
_REQUESTS_IN_FLIGHT = "SELECT id FROM requests WHERE process = ? AND outcome IS NULL"
_LOSE_ATTEMPT = """
UPDATE attempts
SET outcome = 'lost', finished_at = ?, error_class = 'process_died', cost_source = 'unknown'
WHERE id = ?
"""
_LOSE_REQUEST = """
UPDATE requests
SET outcome = 'lost', finished_at = ?, error_class = 'process_died', cost_source = 'unknown',
    attempts = (SELECT count(*) FROM attempts WHERE request_id = requests.id AND kind = 'chat')
WHERE id = ?
"""

_SETTLE_ATTEMPT = """
UPDATE attempts SET
    cost_nanousd      = ?,
    cost_source       = 'reconciled',
    prompt_tokens     = coalesce(?, prompt_tokens),
    completion_tokens = coalesce(?, completion_tokens),
    cached_tokens     = coalesce(?, cached_tokens),
    reasoning_tokens  = coalesce(?, reasoning_tokens),
    provider          = coalesce(?, provider),
    served_model      = coalesce(?, served_model)
WHERE id = ? AND cost_nanousd IS NULL
"""
# A request's tokens are those of the attempt that served it: the last one, unless it failed.
_SETTLE_REQUEST = """
UPDATE requests SET
    prompt_tokens     = coalesce(a.prompt_tokens, requests.prompt_tokens),
    completion_tokens = coalesce(a.completion_tokens, requests.completion_tokens),
    cached_tokens     = coalesce(a.cached_tokens, requests.cached_tokens),
    reasoning_tokens  = coalesce(a.reasoning_tokens, requests.reasoning_tokens),
    served_model      = coalesce(requests.served_model, a.served_model)
FROM attempts a
WHERE a.id = ? AND a.kind = 'chat' AND a.outcome <> 'failed'
  AND requests.id = a.request_id AND requests.outcome IS NOT NULL
  AND a.seq = (SELECT max(seq) FROM attempts WHERE request_id = a.request_id AND kind = 'chat')
"""
_STOP_ASKING = "DELETE FROM reconciliations WHERE attempt_id = ?"

# A row that breaks the schema, or a number that no column holds.
_NEVER_TAKEN = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError)


class SqliteLedger:
    """Fits `ledger.ingest.LedgerStore` and `ledger.reconcile.CostStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def offsets(self) -> dict[str, int]:
        # Asked of the writer, so that a batch whose caller was cancelled is not overlooked.
        async def job(db: aiosqlite.Connection) -> dict[str, int]:
            rows = await db.execute_fetchall("SELECT segment, offset FROM journal_offsets")
            return {row["segment"]: row["offset"] for row in rows}

        return await self._database.transact(job)

    async def apply(self, batch: Batch) -> None:
        async def job(db: aiosqlite.Connection) -> None:
            for advance in batch.advances:
                await _move(db, advance)
            await _write(db, batch)
            if batch.breakers:
                await store_changes(db, batch.breakers)

        try:
            await self._database.transact(job)
        except (StorageError, OverflowError) as exc:
            if isinstance(exc.__cause__ or exc, _NEVER_TAKEN):
                raise RowRefused(str(exc)) from exc
            raise

    async def processes_in_flight(self) -> set[str]:
        rows = await self._database.read(
            "SELECT process FROM requests WHERE outcome IS NULL "
            "UNION SELECT process FROM attempts WHERE outcome IS NULL"
        )
        return {row["process"] for row in rows}

    async def bury(self, process: str, at: str) -> int:
        async def job(db: aiosqlite.Connection) -> int:
            attempts = await _ids(db, _ATTEMPTS_IN_FLIGHT, process)
            requests = await _ids(db, _REQUESTS_IN_FLIGHT, process)
            await db.executemany(_LOSE_ATTEMPT, [(at, id) for id in attempts])
            await db.executemany(_LOSE_REQUEST, [(at, id) for id in requests])
            await db.executemany(_ASK_FOR_COST, [(id,) for id in attempts])
            await db.executemany(_SUM_FOR_REQUEST, [(id,) for id in requests])
            return len(attempts) + len(requests)

        return await self._database.transact(job)

    async def forget(self, segments: Sequence[str]) -> None:
        async def job(db: aiosqlite.Connection) -> None:
            await db.executemany(
                "DELETE FROM journal_offsets WHERE segment = ?", [(name,) for name in segments]
            )

        await self._database.transact(job)

    async def open_costs(self, due_at: str, limit: int) -> list[OpenCost]:
        rows = await self._database.read(
            "SELECT attempt_id, reconciliations.generation_id, tries, "
            "coalesce(finished_at, next_try_at) AS since "
            "FROM reconciliations LEFT JOIN attempts ON attempts.id = attempt_id "
            "WHERE next_try_at <= ? ORDER BY next_try_at LIMIT ?",
            (due_at, limit),
        )
        return [OpenCost(*row) for row in rows]

    async def settle_cost(self, attempt_id: str, generation: Generation) -> None:
        async def job(db: aiosqlite.Connection) -> None:
            usage = generation.usage
            await db.execute(
                _SETTLE_ATTEMPT,
                (
                    generation.cost_nanousd,
                    usage.prompt_tokens,
                    usage.completion_tokens,
                    usage.cached_tokens,
                    usage.reasoning_tokens,
                    generation.provider,
                    generation.model,
                    attempt_id,
                ),
            )
            await db.execute(_SETTLE_REQUEST, (attempt_id,))
            await db.execute(_SUM_FOR_ATTEMPT, (attempt_id,))
            await db.execute(_STOP_ASKING, (attempt_id,))

        await self._database.transact(job)

    async def postpone_cost(self, attempt_id: str, until: str) -> None:
        async def job(db: aiosqlite.Connection) -> None:
            await db.execute(
                "UPDATE reconciliations SET tries = tries + 1, next_try_at = ? "
                "WHERE attempt_id = ?",
                (until, attempt_id),
            )

        await self._database.transact(job)

    async def give_up_cost(self, attempt_id: str) -> None:
        async def job(db: aiosqlite.Connection) -> None:
            await db.execute(_STOP_ASKING, (attempt_id,))

        await self._database.transact(job)


async def _move(db: aiosqlite.Connection, advance: Advance) -> None:
    """Advance a journal offset, unless somebody else did since it was read."""
    moved = await db.execute(_MOVE_OFFSET, (advance.segment, advance.start, advance.end))
    if moved.rowcount != 1:
        raise StorageError(f"journal {advance.segment} is being read by two at once")


async def _write(db: aiosqlite.Connection, batch: Batch) -> None:
    requests, attempts = batch.requests.values(), batch.attempts.values()
    ended = [row for row in attempts if row.outcome is not None]
    await _many(db, _WRITE_REQUEST, [_request_values(row) for row in requests])
    await _many(db, _WRITE_ATTEMPT, [_attempt_values(row) for row in attempts])
    await _many(db, _ASK_FOR_COST, [(row.id,) for row in ended if row.cost_nanousd is None])
    await _many(db, _SUM_FOR_REQUEST, [(r.id,) for r in requests if r.cost_source == "unknown"])
    # A call may end after its request did, for instance one that asked a classifier.
    await _many(db, _SUM_FOR_ATTEMPT, [(row.id,) for row in ended])


async def _many(db: aiosqlite.Connection, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
    if rows:
        await db.executemany(sql, rows)


async def _ids(db: aiosqlite.Connection, sql: str, process: str) -> list[str]:
    return [row["id"] for row in await db.execute_fetchall(sql, (process,))]
