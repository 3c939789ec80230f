"""Versions of the configuration: every change whole, one after the other, and never forgotten."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from llm_router.errors import Conflict, NotFound, StorageError
from llm_router.routing.config import Category, ConfigHolder, RoutingConfig
from llm_router.routing.defaults import default_config
from llm_router.routing.document import Change
from llm_router.storage.config import ConfigStore, Edit, current, history
from llm_router.storage.sqlite import Database, open_database, open_reader


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    async with open_database(path, busy_timeout_s=0.05) as database:
        yield database


@pytest.fixture
def holder() -> ConfigHolder:
    return ConfigHolder(default_config())


@pytest.fixture
async def store(database: Database, holder: ConfigHolder) -> ConfigStore:
    store = ConfigStore(database, holder, wall=lambda: 1_800_000_000.0)
    await store.load_or_seed(default_config())
    return store


def with_chain(name: str, *models: str) -> Edit:
    def edit(config: RoutingConfig) -> RoutingConfig:
        category = Category(name, models)
        return RoutingConfig(0, {**config.categories, name: category}, config.aliases)

    return edit


async def test_an_empty_database_is_seeded_and_a_filled_one_is_the_truth(
    database: Database, holder: ConfigHolder
) -> None:
    store = ConfigStore(database, holder)
    seeded = await store.load_or_seed(default_config())
    assert seeded.version == 1
    assert holder.current is seeded
    await store.change("admin", "x", with_chain("code", "a/b"))
    other = ConfigHolder(default_config())
    again = await ConfigStore(database, other).load_or_seed(default_config())
    assert again.version == 2
    assert other.current.categories["code"].models == ("a/b",)


async def test_a_change_is_durable_before_it_is_in_force(
    store: ConfigStore, holder: ConfigHolder, path: Path
) -> None:
    changed = await store.change("admin", "x", with_chain("poetry", "a/b"))
    assert holder.current is changed
    async with open_reader(path) as reader:
        assert await current(reader) == changed


async def test_who_took_a_version_keeps_it(store: ConfigStore, holder: ConfigHolder) -> None:
    """F80: a request that is under way keeps the configuration it began with."""
    taken = holder.current
    await store.change("admin", "x", with_chain("code", "a/b"))
    assert taken.categories["code"].models == ("glm-5", "aurora-alpha", "gpt-4o-mini")
    assert holder.current.categories["code"].models == ("a/b",)


async def test_changes_at_the_same_time_are_applied_one_after_the_other(
    store: ConfigStore, holder: ConfigHolder
) -> None:
    """F81, T36: both are applied, two versions, never merged halves."""
    edits = [
        store.change("admin", f"edit {n}", with_chain(f"c{n % 10}", f"a/m{n}", f"b/m{n}"))
        for n in range(60)
    ]
    versions = [config.version for config in await asyncio.gather(*edits)]
    assert versions == list(range(2, 62))
    assert holder.current.version == 61
    for n in range(10):
        assert holder.current.categories[f"c{n}"].models == (f"a/m{50 + n}", f"b/m{50 + n}")
    assert [v.action for v in await store.history(3)] == ["edit 59", "edit 58", "edit 57"]


async def test_a_change_that_changes_nothing_makes_no_version(store: ConfigStore) -> None:
    same = await store.change("admin", "x", lambda config: config)
    assert same.version == 1
    assert len(await store.history()) == 1


async def test_what_an_edit_raises_undoes_it(store: ConfigStore, holder: ConfigHolder) -> None:
    def edit(_: RoutingConfig) -> RoutingConfig:
        raise Conflict("no")

    with pytest.raises(Conflict, match="no"):
        await store.change("admin", "x", edit)
    assert holder.current.version == 1
    assert len(await store.history()) == 1


async def test_a_change_whose_caller_left_is_in_force_all_the_same(
    store: ConfigStore, holder: ConfigHolder, database: Database
) -> None:
    change = asyncio.ensure_future(store.change("admin", "x", with_chain("code", "a/b")))
    await asyncio.sleep(0)
    change.cancel()
    with pytest.raises(asyncio.CancelledError):
        await change
    await store.change("admin", "y", with_chain("tools", "a/b"))  # waits for the one before
    stored = await current(database)
    assert stored == holder.current
    assert holder.current.version == 3


async def test_history_says_who_when_and_from_what_to_what(store: ConfigStore) -> None:
    await store.change("admin", "category poetry", with_chain("poetry", "a/b"))
    await store.change("loopback", "model-mapping poetry", with_chain("poetry", "c/d"))
    newest, middle, first = await store.history()
    assert newest.as_dict() == {
        "version": 3,
        "at": "2027-01-15T08:00:00.000Z",
        "actor": "loopback",
        "action": "model-mapping poetry",
        "changes": [{"path": "categories.poetry.models", "from": ["a/b"], "to": ["c/d"]}],
    }
    assert Change("categories.poetry.models", None, ["a/b"]) in middle.changes
    assert (first.actor, first.action) == ("start", "seed")
    assert [v.version for v in await store.history(2)] == [3, 2]
    assert (await store.history(2))[1].changes == middle.changes


async def test_going_back_is_a_version_of_its_own(store: ConfigStore, holder: ConfigHolder) -> None:
    await store.change("admin", "x", with_chain("code", "a/b"))
    back = await store.rollback(1, "admin")
    assert back.version == 3
    assert holder.current is back
    assert back.categories == default_config().categories
    assert (await store.history(1))[0].action == "rollback to 1"
    assert (await store.rollback(3, "admin")).version == 3


async def test_a_version_that_never_was_cannot_be_gone_back_to(store: ConfigStore) -> None:
    with pytest.raises(NotFound, match="There is no version 9"):
        await store.rollback(9, "admin")


async def test_a_database_that_refuses_leaves_the_old_configuration_serving(
    store: ConfigStore, holder: ConfigHolder, path: Path
) -> None:
    """F86"""
    before = holder.current
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StorageError, match="is locked"):
            await store.change("admin", "x", with_chain("code", "a/b"))
        assert holder.current is before
    finally:
        blocker.close()
    assert (await store.change("admin", "x", with_chain("code", "a/b"))).version == 2


async def test_a_version_that_breaks_the_rules_names_itself_and_the_way_back(
    store: ConfigStore, database: Database, path: Path
) -> None:
    with sqlite3.connect(path) as by_hand:
        by_hand.execute("INSERT INTO config_versions VALUES (2, '', 'me', 'by hand', '{}')")
    by_hand.close()
    with pytest.raises(StorageError, match=r"version 2 .* categories: is missing.*rollback"):
        await store.change("admin", "x", lambda config: config)
    with pytest.raises(StorageError, match="version 2"):
        await current(database)
    with pytest.raises(StorageError, match="version 2"):
        await store.rollback(2, "cli")
    assert (await store.rollback(1, "cli")).version == 3
    assert len(await store.history()) == 3


async def test_before_the_first_start_there_is_nothing(
    database: Database, holder: ConfigHolder
) -> None:
    assert await current(database) is None
    assert await history(database) == []
    with pytest.raises(StorageError, match="no configuration yet"):
        await ConfigStore(database, holder).change("admin", "x", lambda config: config)
