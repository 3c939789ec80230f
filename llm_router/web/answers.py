"""Answers that many may have asked for at once, and that outlive a database in trouble."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from llm_router.clock import Clock
from llm_router.errors import StorageError, Unavailable

MAX_KEPT = 64

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Kept:
    asked_at: float
    value: Any


class Answers:
    """The last answer to each of the last few questions.

    One question at a time goes to the database, and whoever waited for it takes an equal one's
    answer if that was asked since: a hundred that come together cost two queries.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._asking = asyncio.Lock()

    async def get(self, question: Hashable, ask: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Return the answer and whether it is stale: repeated because the database is silent.

        Unavailable when there is nothing to repeat.
        """
        came_at = self._clock.monotonic()
        async with self._asking:
            kept = self._kept.get(question)
            if kept is not None and kept.asked_at > came_at:
                return cast("T", kept.value), False
            asked_at = self._clock.monotonic()
            try:
                value = await ask()
            except StorageError as exc:
                if kept is None:
                    raise Unavailable(
                        f"The ledger cannot answer now: {exc}", retry_after_s=5
                    ) from exc
                return cast("T", kept.value), True
            self._keep(question, _Kept(asked_at, value))
            return value, False

    def _keep(self, question: Hashable, kept: _Kept) -> None:
        self._kept[question] = kept
        self._kept.move_to_end(question)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
