"""What another mode would have decided, as rows and as the view that compares."""

from pathlib import Path

from llm_router.clock import utc_text
from llm_router.ledger.entry import ShadowDecided
from llm_router.ledger.rows import Batch
from llm_router.storage.ledger import SqliteLedger
from llm_router.storage.retention import prune
from llm_router.storage.sqlite import open_database
from tests.fakes.ledger import add_request

AT = 1_770_000_000.0


def shadow(id: str, category: str, other: str) -> ShadowDecided:
    return ShadowDecided(id, AT, "local", category, 0.9, "keywords", "default", other, 0.5, 0)


async def test_a_shadow_decision_is_one_row(tmp_path: Path) -> None:
    async with open_database(tmp_path / "router.db") as database:
        ledger = SqliteLedger(database)
        for _ in range(2):  # a journal that is read twice adds nothing
            await ledger.apply(Batch(shadows=[shadow("req_1", "code", "conversation")]))
        [row] = await database.read("SELECT * FROM shadow_decisions")
    assert dict(row) == {
        "request_id": "req_1",
        "at": utc_text(AT),
        "classifier": "local",
        "category": "code",
        "confidence": 0.9,
        "shadow_mode": "keywords",
        "shadow_classifier": "default",
        "shadow_category": "conversation",
        "shadow_confidence": 0.5,
        "shadow_ms": 0,
    }


async def test_the_view_says_how_often_they_agree_and_what_it_cost(tmp_path: Path) -> None:
    async with open_database(tmp_path / "router.db") as database:
        ids = [await add_request(database) for _ in range(4)]
        others = ("code", "code", "code", "reasoning")
        said = [shadow(id, "code", other) for id, other in zip(ids, others, strict=True)]
        await SqliteLedger(database).apply(Batch(shadows=said))
        rows = await database.read("SELECT * FROM shadow_agreement")
    assert [tuple(row) for row in rows] == [
        ("keywords", "code", "code", 3, 75.0, 0.9, 0.5, 0.003),
        ("keywords", "code", "reasoning", 1, 25.0, 0.9, 0.5, 0.001),
    ]


async def test_it_is_pruned_with_its_request(tmp_path: Path) -> None:
    async with open_database(tmp_path / "router.db") as database:
        id = await add_request(database)
        await SqliteLedger(database).apply(Batch(shadows=[shadow(id, "code", "code")]))
        await prune(database, "2100-01-01T00:00:00.000Z")
        assert await database.read("SELECT * FROM shadow_decisions") == []
