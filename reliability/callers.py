"""Clients that ask on and on, whatever happens to the router, and keep what they got.

Every second one keeps its connection from one request to the next, as SDKs do.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from reliability.wire import Answer, Line

CHAT = "/v1/chat/completions"
WOBBLY = "demo/wobbly"  # its failures come before a healthy model in its chain
BROKEN = "demo/broken"  # never answers but with an error
_NOBODY_THERE_S = 0.01


@dataclass(frozen=True, slots=True)
class Asked:
    """One chat request. `session` stands in its row, in upstream's call, and nowhere else twice."""

    session: str
    answer: Answer
    has_left: bool
    ended_at: float = field(default_factory=time.monotonic)


class Callers:
    """`asked` grows until `stop`. Every request has a prompt and a session of its own."""

    def __init__(
        self,
        port: int,
        seed: int,
        *,
        count: int = 8,
        are_healthy: bool = False,
        pause_s: float = 0.0,
    ) -> None:
        self.asked: list[Asked] = []
        self.refused = 0  # nobody took the connection
        self._port = port
        self._random = random.Random(seed)
        self._numbers = itertools.count()
        self._count = count
        self._pause_s = pause_s
        self._shape: Callable[[int], dict[str, Any]] = self._healthy if are_healthy else self._mixed
        self._is_stopping = False

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._count):
                line = Line(self._port, is_kept=number % 2 == 1)
                _ = group.create_task(self._call_on(line))

    def stop(self) -> None:
        """Let each caller finish what it asked."""
        self._is_stopping = True

    async def _call_on(self, line: Line) -> None:
        while not self._is_stopping:
            number = next(self._numbers)
            body = self._shape(number)
            leaves = body.pop("leaves", None)
            session = f"s-{number}"
            try:
                answer = await line.send(
                    "POST", CHAT, {**body, "session_id": session}, read_bytes=leaves
                )
            except OSError:
                self.refused += 1
                await asyncio.sleep(_NOBODY_THERE_S)
                continue
            self.asked.append(Asked(session, answer, leaves is not None))
            await asyncio.sleep(self._random.random() * self._pause_s)
        line.close()

    def _healthy(self, number: int) -> dict[str, Any]:
        chunks, gap = self._random.randrange(1, 12), self._random.choice((0, 1, 5))
        return _body(
            "router/code", f"chunks={chunks} gap={gap}", number, self._random.random() < 0.7
        )

    def _mixed(self, number: int) -> dict[str, Any]:
        draw = self._random.random()
        chunks = self._random.randrange(1, 25)
        if draw < 0.55:
            return self._healthy(number)
        if draw < 0.65:  # falls back
            return _body("router/wobbly", f"[[demo fail={WOBBLY}:503]]", number, draw < 0.6)
        if draw < 0.72:  # breaks after its commit
            text = f"[[demo model={WOBBLY} drop={chunks // 4 + 1}]] chunks={chunks + 10} gap=1"
            return _body("router/wobbly", text, number, True)
        if draw < 0.77:  # breaks before it, in the middle of the first bytes
            return _body("router/wobbly", f"[[demo model={WOBBLY} drop=0]]", number, True)
        if draw < 0.82:  # the client leaves
            body = _body("router/code", f"chunks={chunks + 20} gap=3", number, True)
            return {**body, "leaves": self._random.randrange(1, 2_000)}
        if draw < 0.88:  # an error of the request's own
            return _body("router/code", "[[demo status=400]]", number, draw < 0.85)
        if draw < 0.94:
            return _body("router/code", "[[demo usage=absent]] chunks=5", number, True)
        return _body("router/code", f"chunks={chunks} gap=2 [[demo no_done role]]", number, True)


def _body(model: str, text: str, number: int, is_stream: bool) -> dict[str, Any]:
    message = {"role": "user", "content": f"Request {number}: {text}"}
    return {"model": model, "messages": [message], "stream": is_stream}
