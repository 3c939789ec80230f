from functools import partial
from typing import Any

import pytest

from llm_router.errors import StorageError
from llm_router.routing.config import ConfigHolder
from llm_router.routing.defaults import default_config
from llm_router.storage.breakers import write_changes
from llm_router.storage.config import ConfigStore
from llm_router.storage.follow import Follower
from llm_router.storage.reader import open_reader
from llm_router.storage.sqlite import Database
from tests.routing.test_merge import change

NAMES = ("config", "breakers", "sessions", "models")


class Seen:
    def __init__(self) -> None:
        self.marks: dict[str, list[Any]] = {name: [] for name in NAMES}
        self.trouble: StorageError | None = None

    async def react(self, name: str, mark: Any) -> None:
        if self.trouble:
            raise self.trouble
        self.marks[name].append(mark)


async def follower(reader: Any, seen: Seen) -> Follower:
    return Follower(reader, {name: partial(seen.react, name) for name in seen.marks})


async def test_what_is_there_and_what_comes_is_heard_of_once(database: Database) -> None:
    seen = Seen()
    async with open_reader(database.path) as reader:
        following = await follower(reader, seen)
        assert await following.look()
        assert seen.marks == {"config": [], "breakers": [], "sessions": [], "models": []}
        await database.transact(partial(write_changes, changes=[change("closed", "open", 10)]))
        assert await following.look()
        assert not await following.look()
        assert seen.marks["breakers"] == [None]
        assert following.marks["breakers"] == 1
        await ConfigStore(database, ConfigHolder(default_config())).load_or_seed(default_config())
        await database.transact(partial(write_changes, changes=[change("open", "closed", 20)]))
        await following.look()
        assert seen.marks == {
            "config": [None],
            "breakers": [None, 1],
            "sessions": [],
            "models": [],
        }


async def test_what_could_not_be_read_is_read_the_next_time_and_said_once(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Seen()
    async with open_reader(database.path) as reader:
        following = await follower(reader, seen)
        await following.look()
        await database.transact(partial(write_changes, changes=[change("closed", "open", 10)]))
        seen.trouble = StorageError("busy")
        assert not await following.look()
        assert not await following.look()
        assert caplog.text.count("cannot be seen: busy") == 1
        seen.trouble = None
        await following.look()
        assert seen.marks["breakers"] == [None]
