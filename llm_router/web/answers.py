"""Answers that may be a second old, and that outlive a database in trouble."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from llm_router.clock import Clock
from llm_router.errors import StorageError, Unavailable

FRESH_S = 1.0
MAX_KEPT = 64

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Kept:
    at: float
    value: Any


class Answers:
    """The last answer to each of the last few questions.

    One question at a time goes to the database, so a hundred equal ones cost one query.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._asking = asyncio.Lock()

    async def get(self, question: Hashable, ask: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Return the answer and whether it is stale: repeated because the database is silent.

        Unavailable when there is nothing to repeat.
        """
        async with self._asking:
            kept = self._kept.get(question)
            if kept is not None and self._clock.monotonic() - kept.at < FRESH_S:
                return cast("T", kept.value), False
            try:
                value = await ask()
            except StorageError as exc:
                if kept is None:
                    raise Unavailable(
                        f"The ledger cannot answer now: {exc}", retry_after_s=5
                    ) from exc
                return cast("T", kept.value), True
            self._keep(question, value)
            return value, False

    def _keep(self, question: Hashable, value: object) -> None:
        self._kept[question] = _Kept(self._clock.monotonic(), value)
        self._kept.move_to_end(question)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
