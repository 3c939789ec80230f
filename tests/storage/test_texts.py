"""Prompts and answers as rows, and how they go again."""

import asyncio
from pathlib import Path

import pytest

from llm_router.cli.backup import backup
from llm_router.clock import utc_text
from llm_router.ledger.entry import TextKept
from llm_router.ledger.rows import Batch
from llm_router.storage import texts
from llm_router.storage.ledger import SqliteLedger
from llm_router.storage.retention import prune
from llm_router.storage.sqlite import Database
from tests.fakes.clock import Clock
from tests.fakes.ledger import add_request
from tests.fakes.waiting import until
from tests.integration.conftest import eventually

AT = 1_770_000_000.0
DAY_S = 86_400


async def keep(database: Database, *texts: TextKept) -> None:
    await SqliteLedger(database).apply(Batch(texts=list(texts)))


async def ids(database: Database) -> list[str]:
    return [row["request_id"] for row in await database.read("SELECT request_id FROM texts")]


async def test_a_text_is_one_row(database: Database) -> None:
    for _ in range(2):  # a journal that is read twice adds nothing
        await keep(database, TextKept("req_1", AT, "[]", "Hello"))
    [row] = await database.read("SELECT * FROM texts")
    assert tuple(row) == ("req_1", utc_text(AT), "[]", "Hello")
    found = await texts.text_of(database, "req_1")
    assert found is not None
    assert dict(found) == {"prompt": "[]", "answer": "Hello"}
    assert await texts.text_of(database, "req_2") is None


async def test_it_is_pruned_with_its_request(database: Database) -> None:
    id = await add_request(database)
    await keep(database, TextKept(id, AT, "[]", "Hello"), TextKept("req_other", AT, "[]", "Hi"))
    await prune(database, "2100-01-01T00:00:00.000Z")
    assert await ids(database) == ["req_other"]


async def test_what_is_forgotten_is_overwritten_in_the_file(
    database: Database, tmp_path: Path
) -> None:
    """T11: its free pages hold none of it, and a copy would have those, too.

    A few cells' remains stay where SQLite moved them from one page to the next.
    """
    await database.transact(lambda db: db.execute("PRAGMA secure_delete = OFF"))
    old = [TextKept(f"req_{n}", AT, "[]", f"canary-{n} " * 500) for n in range(50)]
    await keep(database, *old, TextKept("req_new", AT + 10, "[]", "stays"))
    assert await texts.forget(database, utc_text(AT + 5)) == 50
    assert await ids(database) == ["req_new"]
    backup(database.path, tmp_path / "copy.db")
    copy = (tmp_path / "copy.db").read_bytes()
    assert b"stays" in copy
    assert copy.count(b"canary") < 0.02 * 50 * 500


async def test_old_texts_are_forgotten_every_hour(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "EVERY_S", 0.01)
    clock = Clock(unix=AT)
    await keep(database, TextKept("req_1", AT - 31 * DAY_S, "[]", "a"))
    await keep(database, TextKept("req_2", AT - 29 * DAY_S, "[]", "b"))
    task = asyncio.ensure_future(texts.run_forgetting(database, 30, clock))
    await until_left(database, ["req_2"])
    clock.pass_s(2 * DAY_S)
    await until_left(database, [])
    task.cancel()
    await until(task.done)


async def until_left(database: Database, expected: list[str]) -> None:
    async def are_left() -> bool:
        return await ids(database) == expected

    await eventually(are_left)
