"""What sessions stay with, as rows."""

from functools import partial

from llm_router.ledger.entry import SessionKept
from llm_router.storage import sessions
from llm_router.storage.sqlite import Database

AT = 1_770_000_000.0


def kept(name: str, at: float = AT, model: str = "z-ai/glm-5", client: str = "") -> SessionKept:
    return SessionKept(name, client, at, "code", "local", 0.9, model)


async def write(database: Database, *entries: SessionKept) -> None:
    await database.transact(partial(sessions.write, kept=entries))


async def test_what_is_written_can_be_loaded(database: Database) -> None:
    entries = [kept("a"), kept("b", AT + 1.5), kept("a", AT + 2, client="laptop")]
    await write(database, *entries)
    assert await sessions.load(database) == entries


async def test_the_later_answer_holds_whichever_comes_in_first(database: Database) -> None:
    """Two workers answer one session; their journals are read one behind the other."""
    await write(database, kept("a", AT + 5, "later/model"))
    await write(database, kept("a", AT + 3, "earlier/model"))
    assert [entry.model for entry in await sessions.load(database)] == ["later/model"]
    await write(database, kept("a", AT + 6, "z-ai/glm-5"))
    assert [entry.model for entry in await sessions.load(database)] == ["z-ai/glm-5"]


async def test_a_reader_can_ask_for_what_is_new(database: Database) -> None:
    await write(database, kept("a"), kept("b"))
    assert [entry.session for entry in await sessions.load(database, after=1)] == ["b"]
    await write(database, kept("a", AT + 1))
    assert [entry.session for entry in await sessions.load(database, after=2)] == ["a"]


async def test_rows_go_an_hour_after_their_last_answer(database: Database) -> None:
    await write(database, kept("old"), kept("young", AT + 10))
    await write(database, kept("new", AT + 3605))
    assert [entry.session for entry in await sessions.load(database)] == ["young", "new"]
