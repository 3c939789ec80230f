"""What the demo upstream has seen and what it was told to do next."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aiohttp import web
from multidict import CIMultiDictProxy

from llm_router.demo import directives
from llm_router.demo.behaviour import HEADERS, HEALTHY, Behaviour


@dataclass(slots=True, eq=False)
class Call:
    """One request as it arrived, and how its answer went. Times are the loop's clock.

    `disconnected_at` is when the caller left before its answer was whole; `finished` says that
    everything meant for it was written, `dropped` that the demo broke the connection on purpose.
    `chunks` counts the events with substance that were written.
    """

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: bytes
    started: float
    model: str | None = None
    status: int | None = None
    generation_id: str | None = None
    chunks: int = 0
    billed_usd: Decimal = Decimal(0)
    disconnected_at: float | None = None
    finished: bool = False
    dropped: bool = False

    @property
    def is_over(self) -> bool:
        return self.finished or self.dropped or self.disconnected_at is not None

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class _Order:
    behaviour: Behaviour
    left: int | None = field(default=None)


class Script:
    """Records calls and answers how each should be treated.

    Orders given by `fail`, `behave` and `hold` come before directives in the prompt and apply in
    the order they were given; one whose `times` are used up lets the next one have its turn.
    """

    def __init__(self, *, keep: int = 10_000) -> None:
        self.requests: list[Call] = []
        self._keep = keep
        self._orders: list[_Order] = []
        self._used: dict[tuple[str, int], int] = {}
        self._pulse = asyncio.Event()

    # What tests call.

    def fail(self, model: str = "*", **how: Any) -> None:
        """Misbehave for `model` (id, short name, `*`, or a path such as `/models`).

        Keywords are the fields of `Behaviour`: `fail("z-ai/glm-5", status=503, times=2)`,
        `fail("glm-5", drop=5)`, `fail(status=429, retry_after="7")`.
        """
        self.behave(Behaviour(model=model, **how))

    def behave(self, behaviour: Behaviour) -> None:
        self._orders.append(_Order(behaviour, behaviour.times))

    def hold(self, model: str = "*", *, at: int = HEADERS, **how: Any) -> asyncio.Event:
        """Hold answers at a place (HEADERS, or after `at` chunks) until the event is set."""
        release = asyncio.Event()
        self.fail(model, stall=at, release=release, **how)
        return release

    def clear(self) -> None:
        """Forget the calls and behave again."""
        self.requests.clear()
        self.heal()

    def heal(self) -> None:
        """Behave again."""
        self._orders.clear()
        self._used.clear()

    def calls(self, model: str | None = None) -> list[Call]:
        """Return the chat calls, of one model (id, short name or Ollama's) if given."""
        chats = (c for c in self.requests if c.method == "POST")
        if model is None:
            return list(chats)
        wanted = Behaviour(model=model)
        return [c for c in chats if c.model is not None and wanted.applies_to(c.model)]

    async def until(self, test: Callable[[], bool]) -> None:
        """Wait until `test` holds; it is asked again whenever a call arrives or moves on."""
        while not test():
            await self._pulse.wait()

    @property
    def billed_usd(self) -> Decimal:
        """What all recorded calls together would have been billed."""
        return sum((call.billed_usd for call in self.requests), Decimal(0))

    # What handlers call.

    def record(self, request: web.Request, body: bytes) -> Call:
        loop = asyncio.get_running_loop()
        call = Call(request.method, request.path, request.headers, body, loop.time())
        self.requests.append(call)
        # Twice the limit before trimming, so that trimming costs nothing per call.
        if len(self.requests) > 2 * self._keep:
            del self.requests[: -self._keep]
        self.moved()
        return call

    @contextmanager
    def watching(self, call: Call) -> Iterator[None]:
        """Note when the caller of an unfinished call leaves."""
        try:
            yield
        except (asyncio.CancelledError, ConnectionError):
            if not call.is_over:
                call.disconnected_at = asyncio.get_running_loop().time()
            self.moved()
            raise

    def moved(self) -> None:
        """Wake `until`."""
        pulse, self._pulse = self._pulse, asyncio.Event()
        pulse.set()

    def behaviour(self, model: str, text: str = "", *, by_name_only: bool = False) -> Behaviour:
        """Return how to treat a call, and count it. Raises DirectiveError for an odd directive.

        `by_name_only` leaves wildcards out: a `*` about answers should not also hit the calls
        that only ask for a category.
        """
        for order in self._orders:
            if order.left != 0 and _applies(order.behaviour, model, by_name_only):
                if order.left is not None:
                    order.left -= 1
                return order.behaviour
        for index, told in enumerate(directives.parse(text)):
            if _applies(told, model, by_name_only) and self._has_turns(told, text, index):
                return told
        return HEALTHY

    def _has_turns(self, told: Behaviour, text: str, index: int) -> bool:
        if told.times is None:
            return True
        if len(self._used) > 1_000:
            self._used.clear()
        used = self._used.get((text, index), 0)
        self._used[text, index] = used + 1
        return used < told.times


def _applies(behaviour: Behaviour, model: str, by_name_only: bool) -> bool:
    return behaviour.names(model) if by_name_only else behaviour.applies_to(model)
