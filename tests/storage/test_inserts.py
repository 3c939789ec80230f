import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from llm_router.storage.inserts import Insert, portions


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT, real REAL) STRICT")
        yield connection


def stored(db: sqlite3.Connection) -> list[tuple[object, ...]]:
    return db.execute("SELECT id, text, real FROM t ORDER BY id").fetchall()


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 63, 64, 65, 200])
def test_every_row_is_written_once_in_its_order(db: sqlite3.Connection, count: int) -> None:
    rows = [(number, f"text {number}", number / 2) for number in range(count)]
    Insert("t", 3).write(db, rows)
    assert stored(db) == rows


def test_many_rows_take_few_statements() -> None:
    assert list(portions(150)) == [64, 64, 16, 4, 2]


def test_none_is_null_in_columns_of_every_kind(db: sqlite3.Connection) -> None:
    Insert("t", 3).write(db, [(1, None, None), (2, "", 0.0)])
    assert stored(db) == [(1, None, None), (2, "", 0.0)]


def test_a_conflict_leaves_nothing_of_its_portion(db: sqlite3.Connection) -> None:
    insert = Insert("t", 3)
    insert.write(db, [(5, "five", None)])
    with pytest.raises(sqlite3.IntegrityError):
        insert.write(db, [(number, "new", None) for number in range(2, 6)])
    assert stored(db) == [(5, "five", None)]


def test_a_conflict_that_is_provided_for_is_solved_row_by_row(db: sqlite3.Connection) -> None:
    insert = Insert("t", 3, "ON CONFLICT DO UPDATE SET text = text || excluded.text")
    insert.write(db, [(1, "a", None), (2, "b", None), (1, "c", None)])
    assert stored(db) == [(1, "ac", None), (2, "b", None)]
