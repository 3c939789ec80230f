"""A database of its own for each test, and another one to compare it with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from llm_router.storage.sqlite import Database, open_database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "router.db") as database:
        yield database


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "other.db") as database:
        yield database
