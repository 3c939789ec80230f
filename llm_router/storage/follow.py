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

React = Callable[[Any], Awaitable[None]]
"""Gets the mark up to which it has reacted already, None the first time."""


async def follow(database: Readable, reactions: Mapping[str, React]) -> NoReturn:
    """React to every change of `config`, `breakers`, `sessions` and `models`; a task.

    `database` is read by nobody else: a long query must not keep a change waiting.
    """
    follower = Follower(database, reactions)
    while True:
        await follower.look()
        await asyncio.sleep(POLL_S)


class Follower:
    def __init__(self, database: Readable, reactions: Mapping[str, React]) -> None:
        self._database = database
        self._reactions = reactions
        self._data_version: int | None = None
        self._marks: dict[str, Any] = dict.fromkeys(reactions)
        self._is_blind = False

    async def look(self) -> None:
        """React to what has changed since the last look; again next time if that fails."""
        try:
            await self._react()
        except StorageError as exc:
            if not self._is_blind:
                log.warning("changes by other processes cannot be seen: %s", exc)
            self._is_blind = True
        else:
            self._is_blind = False

    async def _react(self) -> None:
        [[data_version]] = await self._database.read("PRAGMA data_version")
        if data_version == self._data_version:
            return
        [now] = await self._database.read(_MARKS)
        for name, react in self._reactions.items():
            if now[name] != self._marks[name]:
                await react(self._marks[name])
                self._marks[name] = now[name]
        self._data_version = data_version
