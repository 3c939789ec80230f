"""Many rows with few statements.

Every statement lets go of the interpreter's lock and has to win it back from a busy event loop,
which takes longer than the row does. So rows go in by the dozen.
"""

import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeVar

# 64 rows of the widest table stay far below SQLite's 32,766 parameters.
_AT_ONCE = (64, 16, 4, 1)

# SQLite takes NaN for NULL. For None, Python's sqlite3 first looks for an adapter, which takes ten
# times as long as binding a number or a text.
_NULL = math.nan

T = TypeVar("T")


class Insert:
    """INSERT INTO `target` with so many columns; `conflict` is the ON CONFLICT clause, if any."""

    def __init__(self, target: str, columns: int, conflict: str = "") -> None:
        row = f"({', '.join('?' * columns)})"
        self._sql = {
            rows: f"INSERT INTO {target} VALUES {', '.join([row] * rows)} {conflict}"
            for rows in _AT_ONCE
        }

    def write(self, db: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
        for some in portions(rows):
            self.write_at_once(db, some, len(some))

    def write_at_once(
        self, db: sqlite3.Connection, rows: Iterable[tuple[object, ...]], count: int
    ) -> None:
        """Write one portion, whole or not at all."""
        values = [_NULL if value is None else value for value in chain.from_iterable(rows)]
        db.execute(self._sql[count], values)


def portions(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut rows into as few pieces as there are statements for."""
    start = 0
    for size in _AT_ONCE:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size
