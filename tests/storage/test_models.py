from llm_router.routing.catalog import Catalog, read_models
from llm_router.storage.models import ModelStorage
from llm_router.storage.sqlite import Database

NOON = 1_769_860_800.123
HOUR = 3600


def catalog(fetched_at: float, **prices: str) -> Catalog:
    entries = [
        {"id": f"v/{name}", "name": "Ä", "pricing": {"prompt": price, "completion": "0"}}
        for name, price in prices.items()
    ]
    return Catalog(read_models({"data": entries}), fetched_at=fetched_at)


async def prices(database: Database) -> list[tuple[str, str, str]]:
    sql = "SELECT model, valid_from, pricing ->> 'prompt' FROM prices ORDER BY 2, 1"
    return [tuple(row) for row in await database.read(sql)]


async def test_before_the_first_list_there_is_none(database: Database) -> None:
    storage = ModelStorage(database)
    assert await storage.fetched_at() is None
    assert not await storage.load()


async def test_a_stored_list_comes_back_as_it_was(database: Database) -> None:
    storage = ModelStorage(database)
    await storage.save(catalog(NOON, b="1", a="2"))
    loaded = await storage.load()
    assert loaded.models == catalog(NOON, b="1", a="2").models
    assert loaded.fetched_at == await storage.fetched_at() == NOON


async def test_a_new_list_replaces_the_old_one(database: Database) -> None:
    storage = ModelStorage(database)
    await storage.save(catalog(NOON, a="1", b="1"))
    await storage.save(catalog(NOON + HOUR, b="1"))
    loaded = await storage.load()
    assert [model.id for model in loaded.models] == ["v/b"]
    assert loaded.fetched_at == NOON + HOUR


async def test_saving_no_list_forgets_the_stored_one(database: Database) -> None:
    storage = ModelStorage(database)
    await storage.save(catalog(NOON, a="1"))
    await storage.save(Catalog())
    assert await storage.fetched_at() is None
    assert not await storage.load()


async def test_a_price_gets_a_row_only_when_it_changed(database: Database) -> None:
    storage = ModelStorage(database)
    await storage.save(catalog(NOON, a="1", b="1"))
    await storage.save(catalog(NOON + HOUR, a="1", b="2"))
    await storage.save(catalog(NOON + 2 * HOUR, b="2"))
    await storage.save(catalog(NOON + 3 * HOUR, a="1", b="1"))
    assert await prices(database) == [
        ("v/a", "2026-01-31T12:00:00.123Z", "1"),
        ("v/b", "2026-01-31T12:00:00.123Z", "1"),
        ("v/b", "2026-01-31T13:00:00.123Z", "2"),
        ("v/b", "2026-01-31T15:00:00.123Z", "1"),
    ]


async def test_the_order_of_keys_is_no_change_of_price(database: Database) -> None:
    storage = ModelStorage(database)
    for at, pricing in ((NOON, {"a": "1", "b": "2"}), (NOON + HOUR, {"b": "2", "a": "1"})):
        body = {"data": [{"id": "v/a", "pricing": pricing}]}
        await storage.save(Catalog(read_models(body), fetched_at=at))
    assert len(await prices(database)) == 1


async def test_two_lists_in_one_millisecond_leave_the_later_price(database: Database) -> None:
    storage = ModelStorage(database)
    await storage.save(catalog(NOON, a="1"))
    await storage.save(catalog(NOON, a="2"))
    assert await prices(database) == [("v/a", "2026-01-31T12:00:00.123Z", "2")]
