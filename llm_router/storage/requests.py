"""Single rows of the ledger, newest first, with the calls that each request made."""

import json
import sqlite3
from dataclasses import asdict, dataclass

from llm_router.ledger.period import ALL_TIME, Period
from llm_router.storage.readable import Readable

MAX_LIMIT = 1000

_COLUMNS = """
    id, started_at, finished_at, category, classifier, confidence, classifier_ms, requested_model,
    served_model, is_stream, client_key, session, attempts, outcome, http_status, error_class,
    prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, cost_nanousd, cost_source,
    time_to_first_chunk_ms, total_ms, overhead_ms
"""

_PAGE = f"""
SELECT {_COLUMNS}
FROM requests r
WHERE started_at >= :since AND started_at < :until
  AND (:after_at IS NULL OR (started_at, id) < (:after_at, :after_id))
  AND (:category IS NULL OR category = :category)
  AND (:classifier IS NULL OR classifier = :classifier)
  AND (:outcome IS NULL OR coalesce(outcome, 'in_flight') = :outcome)
  AND (:key IS NULL OR client_key = :key)
  AND (:session IS NULL OR session = :session)
  AND (:model IS NULL OR served_model = :model OR EXISTS (
      SELECT 1 FROM attempts a WHERE a.request_id = r.id AND a.model = :model))
ORDER BY started_at DESC, id DESC LIMIT :limit
"""

_ONE = f"""
SELECT {_COLUMNS}, rule, runner_up, runner_up_confidence, skipped, left_out
FROM requests WHERE id = ?
"""

_ATTEMPTS = """
SELECT id, seq, kind, model, served_model, provider, generation_id, started_at, finished_at,
       time_to_first_chunk_ms, total_ms, outcome, http_status, error_class, note, prompt_tokens,
       completion_tokens, cached_tokens, reasoning_tokens, cost_nanousd, cost_source
FROM attempts WHERE request_id = ? ORDER BY seq, started_at
"""

_NEWEST = "SELECT coalesce(max(rowid), 0) AS newest FROM requests"
_IN_FLIGHT = "SELECT rowid FROM requests WHERE outcome IS NULL"

# In the order in which rows came in. What was in flight at the last look is looked at again.
_ARRIVED = f"""
SELECT rowid, {_COLUMNS}
FROM requests
WHERE rowid > :newest OR rowid IN (SELECT value FROM json_each(:again))
ORDER BY rowid
"""


@dataclass(frozen=True, slots=True)
class Filter:
    """None lets everything pass. `model` is a full id, served or attempted."""

    category: str | None = None
    classifier: str | None = None
    outcome: str | None = None
    key: str | None = None
    session: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page; the next page begins below it, whatever has come in meanwhile."""

    at: str
    id: str

    def __str__(self) -> str:
        return f"{self.at}~{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read what `str` wrote; ValueError for anything else."""
        at, tilde, id = text.partition("~")
        if not (at and tilde and id):
            raise ValueError(f"{text[:80]!r} is not a cursor")
        return cls(at, id)


EVERYTHING = Filter()


async def page(
    database: Readable,
    wanted: Filter = EVERYTHING,
    period: Period = ALL_TIME,
    *,
    after: Cursor | None = None,
    limit: int,
) -> tuple[list[sqlite3.Row], Cursor | None]:
    """Return a page, newest first, and where the next one begins if there is one."""
    params = {
        **asdict(wanted),
        **period.bounds,
        "after_at": after and after.at,
        "after_id": after and after.id,
        "limit": limit + 1,
    }
    rows = await database.read(_PAGE, params)
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], Cursor(last["started_at"], last["id"])


async def one(database: Readable, request_id: str) -> tuple[sqlite3.Row, list[sqlite3.Row]] | None:
    """Return a request with its calls in their order, or None."""
    rows = await database.read(_ONE, (request_id,))
    if not rows:
        return None
    return rows[0], await database.read(_ATTEMPTS, (request_id,))


class Tail:
    """Requests as they end, from `start` on; in the order in which they began."""

    def __init__(self, database: Readable) -> None:
        self._database = database
        self._newest = 0
        self._in_flight: list[int] = []

    async def start(self) -> None:
        [row] = await self._database.read(_NEWEST)
        self._newest = row["newest"]
        self._in_flight = [row["rowid"] for row in await self._database.read(_IN_FLIGHT)]

    async def ended(self) -> list[sqlite3.Row]:
        """Return what has ended since the last call."""
        params = {"newest": self._newest, "again": json.dumps(self._in_flight)}
        rows = await self._database.read(_ARRIVED, params)
        self._newest = max([self._newest, *(row["rowid"] for row in rows)])
        self._in_flight = [row["rowid"] for row in rows if row["outcome"] is None]
        return [row for row in rows if row["outcome"] is not None]
