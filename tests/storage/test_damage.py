"""Files that are damaged in any place: a start is refused in words, or what is sound is used."""

import asyncio
import random
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_router.errors import RouterError, StorageError
from llm_router.routing.config import ConfigHolder
from llm_router.routing.defaults import default_config
from llm_router.storage import breakers, sessions
from llm_router.storage.config import ConfigStore
from llm_router.storage.ledger import SqliteLedger
from llm_router.storage.models import load_catalog
from llm_router.storage.sqlite import open_database
from tests.fakes.effort import examples
from tests.ledger.entries import breaker_changed, whole_request
from tests.storage.test_ledger import tell


async def begin(path: Path) -> None:
    """Read what a router reads before it serves."""
    async with open_database(path) as database:
        await ConfigStore(database, ConfigHolder(default_config())).load_or_seed(default_config())
        await breakers.load(database)
        await load_catalog(database)
        await sessions.load(database)
        ledger = SqliteLedger(database)
        await ledger.offsets()
        await ledger.processes_in_flight()


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as a killed router leaves it: half of it in the file, half in the WAL."""
    folder = tmp_path_factory.mktemp("killed")
    live, dead = folder / "live.db", folder / "dead.db"

    async def work() -> None:
        await begin(live)
        async with open_database(live) as database:
            for number in range(20):
                await tell(SqliteLedger(database), *whole_request(f"r{number}", f"a{number}"))
            await tell(SqliteLedger(database), breaker_changed("a/one"))
            for suffix in ("", "-wal"):
                shutil.copy(f"{live}{suffix}", f"{dead}{suffix}")

    asyncio.run(work())
    return dead


@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    suffix=st.sampled_from(["", "-wal"]),
    places=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 4096)), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
    cut=st.none() | st.floats(0, 1),
)
def test_wherever_a_file_is_damaged_a_start_goes_on_or_is_refused_in_words(
    suffix: str,
    places: list[tuple[float, int]],
    seed: int,
    cut: float | None,
    killed: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """F89 F91: flipped, overwritten or cut off; and nothing raises but what is said to people."""
    path = tmp_path_factory.mktemp("damage") / "router.db"
    for each in ("", "-wal"):
        shutil.copy(f"{killed}{each}", f"{path}{each}")
    file = path.with_name(path.name + suffix)
    content, chance = bytearray(file.read_bytes()), random.Random(seed)
    for share, size in places:
        begin_at = int(share * (len(content) - 1))
        end_at = min(begin_at + size, len(content))
        content[begin_at:end_at] = chance.randbytes(end_at - begin_at)
    if cut is not None:
        del content[int(cut * len(content)) :]
    file.write_bytes(content)
    with suppress(RouterError):
        asyncio.run(begin(path))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE config_versions SET document = '{\"categories\":'",
        "UPDATE breakers SET since = 'never'",
        "INSERT INTO models VALUES ('a/b', '{', '2026-01-01T00:00:00.000Z')",
    ],
)
async def test_a_row_that_nobody_can_have_written_is_damage(
    statement: str, killed: Path, tmp_path: Path
) -> None:
    """F89: told like any other, in one line."""
    path = tmp_path / "router.db"
    for suffix in ("", "-wal"):
        shutil.copy(f"{killed}{suffix}", f"{path}{suffix}")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        assert database.execute(statement).rowcount
    with pytest.raises(StorageError, match="is damaged; nothing was overwritten"):
        await begin(path)
