"""Rows of the ledger, written the short way."""

import itertools
import sqlite3
from collections.abc import Mapping
from typing import Any

from llm_router.storage.sqlite import Database

GLM, AURORA, KIMI = "z-ai/glm-5", "openrouter/aurora-alpha", "moonshotai/kimi-k2.5"

REQUEST: dict[str, Any] = {
    "started_at": "2026-01-10T12:00:00.000Z",
    "finished_at": "2026-01-10T12:00:02.000Z",
    "category": "code",
    "classifier": "keywords",
    "requested_model": "router",
    "served_model": GLM,
    "is_stream": 1,
    "client_key": "laptop",
    "session": None,
    "attempts": 1,
    "outcome": "completed",
    "http_status": 200,
    "prompt_tokens": 10,
    "completion_tokens": 20,
    "cached_tokens": 4,
    "reasoning_tokens": 5,
    "cost_nanousd": 1_000_000,
    "cost_source": "provider",
    "time_to_first_chunk_ms": 100,
    "total_ms": 1000,
    "overhead_ms": 1,
    "process": "p",
}
ATTEMPT: dict[str, Any] = {
    "seq": 1,
    "kind": "chat",
    "model": GLM,
    "provider": "DeepInfra",
    "started_at": "2026-01-10T12:00:00.000Z",
    "outcome": "completed",
    "prompt_tokens": 10,
    "completion_tokens": 20,
    "cached_tokens": 4,
    "reasoning_tokens": 5,
    "cost_nanousd": 1_000_000,
    "cost_source": "provider",
    "time_to_first_chunk_ms": 90,
    "total_ms": 900,
    "process": "p",
}
# A whole call as what reads ledgers from outside sees it.
CALL_ROW: dict[str, Any] = {
    "id": "r1.1",
    "request_id": "r1",
    "kind": "chat",
    "model": "a/one",
    "generation_id": "gen-1",
    "outcome": "completed",
    "http_status": 200,
    "error_class": None,
    "cost_nanousd": 7,
}
IN_FLIGHT: dict[str, Any] = {
    "finished_at": None,
    "outcome": None,
    "cost_nanousd": None,
    "cost_source": None,
    "total_ms": None,
    "time_to_first_chunk_ms": None,
    "overhead_ms": None,
}
UNKNOWN_COST: dict[str, Any] = {"cost_nanousd": None, "cost_source": "unknown"}

_ids = itertools.count(1)


# What a row in flight has at least.
_BEGINNING = ("id", "process", "started_at", "request_id", "seq", "kind", "model")


async def write(database: Database, table: str, row: Mapping[str, Any]) -> None:
    await database.transact(lambda db: _insert(db, table, row))


async def tell(database: Database, table: str, row: Mapping[str, Any]) -> None:
    """Begin a row and then say the rest of it, so that triggers count it."""
    changes = ", ".join(f"{name} = ?" for name in row)

    def job(db: sqlite3.Connection) -> None:
        _insert(db, table, {name: row[name] for name in _BEGINNING if name in row})
        db.execute(f"UPDATE {table} SET {changes} WHERE id = ?", (*row.values(), row["id"]))

    await database.transact(job)


def _insert(db: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    columns, marks = ", ".join(row), ", ".join("?" * len(row))
    db.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(row.values()))


async def change(database: Database, sql: str, *params: object) -> None:
    def job(db: sqlite3.Connection) -> None:
        db.execute(sql, params)

    await database.transact(job)


async def add_request(database: Database, **facts: Any) -> str:
    """Write a request without calls and return its id."""
    row = {"id": f"req-{next(_ids):06}", **REQUEST, **facts}
    await tell(database, "requests", row)
    return str(row["id"])


async def add_attempt(database: Database, request_id: str, **facts: Any) -> str:
    row = {"id": f"att-{next(_ids):06}", "request_id": request_id, **ATTEMPT, **facts}
    await tell(database, "attempts", row)
    return str(row["id"])


async def add_exchange(database: Database, **facts: Any) -> str:
    """Write a request with the one call that served it."""
    own = {name: value for name, value in facts.items() if name in REQUEST or name == "id"}
    request_id = await add_request(database, **own)
    shared = {name: facts[name] for name in ATTEMPT if name in facts}
    await add_attempt(database, request_id, model=facts.get("served_model", GLM), **shared)
    return request_id
