"""Hearing what another process wrote: a worker's view of the shared truth.

`PRAGMA data_version` moves when somebody else committed, and asking costs next to nothing. Then
one query tells which of the things that concern a running process have changed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn

from llm_router.errors import StorageError
from llm_router.storage.readable import Readable

log = logging.getLogger(__name__)

POLL_S = 0.05

_MARKS = """
SELECT (SELECT max(version) FROM config_versions)     AS config,
       (SELECT max(serial) FROM breakers)             AS breakers,
       (SELECT max(serial) FROM sessions)             AS sessions,
       (SELECT fetched_at FROM models LIMIT 1)        AS models
"""

Marks = Mapping[str, Any]
React = Callable[[Any], Awaitable[None]]
"""Gets the mark up to which it has reacted already, None the first time."""


async def follow(
    database: Readable, reactions: Mapping[str, React], seen: Callable[[Marks], None]
) -> NoReturn:
    """React to every change of `config`, `breakers`, `sessions` and `models`; a task.

    `database` is read by nobody else: a long query must not keep a change waiting. `seen` gets the
    marks that have been reacted to.
    """
    follower = Follower(database, reactions)
    while True:
        if await follower.look():
            seen(follower.marks)
        await asyncio.sleep(POLL_S)


async def marks_now(database: Readable) -> Marks:
    [now] = await database.read(_MARKS)
    return dict(now)


class Follower:
    def __init__(self, database: Readable, reactions: Mapping[str, React]) -> None:
        self._database = database
        self._reactions = reactions
        self._data_version: int | None = None
        self.marks: dict[str, Any] = dict.fromkeys(reactions)
        self._is_blind = False

    async def look(self) -> bool:
        """React to what has changed since the last look; again next time if that fails.

        True if there was something and all of it is done.
        """
        try:
            has_moved = await self._react()
        except StorageError as exc:
            if not self._is_blind:
                log.warning("changes by other processes cannot be seen: %s", exc)
            self._is_blind = True
            return False
        self._is_blind = False
        return has_moved

    async def _react(self) -> bool:
        [[data_version]] = await self._database.read("PRAGMA data_version")
        if data_version == self._data_version:
            return False
        now = await marks_now(self._database)
        for name, react in self._reactions.items():
            if now[name] != self.marks[name]:
                await react(self.marks[name])
                self.marks[name] = now[name]
        self._data_version = data_version
        return True
