"""The ledger's tables: batches of journal entries in, open costs out and back."""

import sqlite3
from collections.abc import Sequence
from functools import partial

from llm_router.errors import RowRefused, StorageError
from llm_router.ledger.reconcile import Generation, OpenCost
from llm_router.ledger.rows import Batch
from llm_router.storage import batch as batches
from llm_router.storage import costs, served
from llm_router.storage.sqlite import Database

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

# No pause lasts a day: what is due later than that was put off by a clock that is set back now.
_OPEN_COSTS = """
SELECT attempt_id, reconciliations.generation_id, tries, coalesce(finished_at, next_try_at) AS since
FROM reconciliations LEFT JOIN attempts ON attempts.id = attempt_id
WHERE next_try_at <= ?1 OR next_try_at > strftime('%Y-%m-%dT%H:%M:%fZ', ?1, '+1 day')
ORDER BY next_try_at LIMIT ?2
"""

# A row that breaks the schema, or a number that no column holds.
_NEVER_TAKEN = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError)


class SqliteLedger:
    """Fits `ledger.ingest.LedgerStore` and `ledger.reconcile.CostStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: served.Known = {}

    async def offsets(self) -> dict[str, int]:
        # Asked of the writer, so that a batch whose caller was cancelled is not overlooked.
        def work(db: sqlite3.Connection) -> dict[str, int]:
            return dict(db.execute("SELECT segment, offset FROM journal_offsets").fetchall())

        return await self._database.transact(work)

    async def apply(self, batch: Batch) -> None:
        try:
            await self._database.transact(partial(batches.write, batch=batch, known=self._known))
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
        def work(db: sqlite3.Connection) -> int:
            attempts = _ids(db, _ATTEMPTS_IN_FLIGHT, process)
            requests = _ids(db, _REQUESTS_IN_FLIGHT, process)
            db.executemany(_LOSE_ATTEMPT, [(at, id) for id in attempts])
            db.executemany(_LOSE_REQUEST, [(at, id) for id in requests])
            costs.ask_for(db, attempts)
            costs.sum_up(db, requests)
            return len(attempts) + len(requests)

        return await self._database.transact(work)

    async def forget(self, segments: Sequence[str]) -> None:
        def work(db: sqlite3.Connection) -> None:
            db.executemany(
                "DELETE FROM journal_offsets WHERE segment = ?", [(name,) for name in segments]
            )

        await self._database.transact(work)

    async def open_costs(self, due_at: str, limit: int) -> list[OpenCost]:
        rows = await self._database.read(_OPEN_COSTS, (due_at, limit))
        return [OpenCost(*row) for row in rows]

    async def settle_cost(self, attempt_id: str, generation: Generation) -> None:
        def work(db: sqlite3.Connection) -> None:
            costs.settle(db, attempt_id, generation)

        await self._database.transact(work)

    async def postpone_cost(self, attempt_id: str, until: str) -> None:
        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE reconciliations SET tries = tries + 1, next_try_at = ? "
                "WHERE attempt_id = ?",
                (until, attempt_id),
            )

        await self._database.transact(work)

    async def give_up_cost(self, attempt_id: str) -> None:
        def work(db: sqlite3.Connection) -> None:
            costs.stop_asking(db, attempt_id)

        await self._database.transact(work)


def _ids(db: sqlite3.Connection, sql: str, process: str) -> list[str]:
    return [row["id"] for row in db.execute(sql, (process,))]
