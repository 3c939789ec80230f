"""Many rows with few statements.

Every statement lets go of the interpreter's lock and has to win it back from a busy event loop,
which takes longer than the row does. So rows go in by the dozen.
"""

import math
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

# 64 rows of the widest table stay far below SQLite's 32,766 parameters. These are powers of two, of
# which every number of rows is a sum.
_AT_ONCE = (64, 32, 16, 8, 4, 2, 1)
_MOST = _AT_ONCE[0]
_BELOW = [tuple(size for size in _AT_ONCE if rows & size) for rows in range(_MOST)]

# SQLite takes NaN for NULL. For None, Python's sqlite3 first looks for an adapter, which takes ten
# times as long as binding a number or a text.
NULL = math.nan


class Insert:
    """INSERT INTO `target` VALUES rows of so many columns, and what shall follow them, if anything.

    The target may end in `WITH v (…) AS (`, if the rest goes on from there.
    """

    def __init__(self, target: str, columns: int, rest: str = "") -> None:
        row = f"({', '.join('?' * columns)})"
        self._columns = columns
        self._sql = {
            rows: f"INSERT INTO {target} VALUES {', '.join([row] * rows)} {rest}"
            for rows in _AT_ONCE
        }

    def write(self, db: sqlite3.Connection, rows: Iterable[tuple[object, ...]]) -> None:
        """Write rows that hold None for NULL."""
        if values := [NULL if value is None else value for value in chain.from_iterable(rows)]:
            self.write_values(db, values)

    def write_values(self, db: sqlite3.Connection, values: list[Any]) -> None:
        """Write row after row of values, in which NULL stands for itself."""
        start, columns = 0, self._columns
        for rows in portions(len(values) // columns):
            end = start + rows * columns
            db.execute(self._sql[rows], values[start:end])
            start = end

    def columns_of(self, values: list[Any], places: Iterable[int]) -> list[list[Any]]:
        """Take some columns out of row after row of values."""
        return [values[place :: self._columns] for place in places]


def portions(rows: int) -> Sequence[int]:
    """Cut rows into as few pieces as there are statements for."""
    return (_MOST,) * (rows // _MOST) + _BELOW[rows % _MOST]
