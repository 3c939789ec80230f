"""An operator who changes things, remembers what was acknowledged, and asks after each restart."""

import asyncio
import json
import random
import time
from contextlib import suppress
from typing import Any

from reliability.callers import BROKEN, CHAT, WOBBLY, Asked
from reliability.wire import Answer, send

_PAUSE_S = (0.01, 0.1)


class Witness:
    """`violations` are sentences: an acknowledged change that was gone, a breaker that forgot.

    Among several workers one may be asked that has not heard of a change yet: it has `hears_in_s`.
    """

    def __init__(
        self, port: int, seed: int, *, watches_breaker: bool = True, hears_in_s: float = 0
    ) -> None:
        self.violations: list[str] = []
        self.asked: list[Asked] = []
        self.acknowledged = 0  # the latest configuration that was answered with 200
        self.acknowledgements: list[tuple[float, int]] = []  # when each of them was
        self.checks = 0
        self._sent = 0  # the latest configuration that was asked for
        self._breaker: str | None = None  # of BROKEN, where it is certain
        self._port = port
        self._hears_in_s = hears_in_s
        self._random = random.Random(seed)
        self._acts = (self.configure, self._break, self._break, self._reset)
        if not watches_breaker:
            self._acts = (self.configure,) * 4
        self._turn = asyncio.Lock()
        self._is_stopping = False

    async def run(self) -> None:
        """Change configuration and breaker on and on, until `stop`."""
        while not self._is_stopping:
            act = self._random.choice(self._acts)
            async with self._turn:
                with suppress(OSError):  # nobody there
                    await act()
            await asyncio.sleep(self._random.uniform(*_PAUSE_S))

    def move_to(self, port: int) -> None:
        """Go on with a router at another port."""
        self._port = port

    def stop(self) -> None:
        self._is_stopping = True

    async def configure(self) -> None:
        self._sent += 1
        number = self._sent
        category = {"name": "wobbly", "models": [WOBBLY, "z-ai/glm-5"], "description": str(number)}
        if (await self._send("POST", "/config/category", category)).status == 200:
            self.acknowledged = number
            self.acknowledgements.append((time.monotonic(), number))

    async def check(self) -> None:
        """Compare what a router that has just started remembers. Raises OSError if it is gone."""
        async with self._turn:
            until = time.monotonic() + self._hears_in_s
            while True:
                answer = await self._send("GET", "/config")
                if not answer.is_whole:
                    return
                found = _change_in(json.loads(answer.body))
                if found >= self.acknowledged or time.monotonic() >= until:
                    break
                await asyncio.sleep(0.05)
            self.checks += 1
            self._compare(found)
            expected = self._breaker
            if expected is not None and (state := await self._call()) not in (expected, None):
                self.violations.append(f"a breaker was {expected}, after a restart it is {state}")

    def _compare(self, found: int) -> None:
        if not self.acknowledged <= found <= self._sent:
            self.violations.append(f"change {self.acknowledged} was acknowledged, {found} is there")

    async def _break(self) -> None:
        """Call the broken model, which opens its breaker at the third time."""
        expected = self._breaker
        state = await self._call()
        if expected == "open" and state == "closed":
            self.violations.append("an open breaker let a request pass")

    async def _reset(self) -> None:
        self._breaker = None
        await self._send("POST", f"/circuit-breaker/reset/{WOBBLY}")
        if (await self._send("POST", f"/circuit-breaker/reset/{BROKEN}")).status == 200:
            self._breaker = "closed"

    async def _call(self) -> str | None:
        """Return whether the broken model is shut out, None if nobody says."""
        known, self._breaker = self._breaker, None
        session = f"w-{self._random.getrandbits(64):x}"
        message = {"role": "user", "content": f"{session} [[demo status=500]]"}
        body = {"model": BROKEN, "messages": [message], "session_id": session}
        answer = await self._send("POST", CHAT, body)
        self.asked.append(Asked(session, answer, has_left=False))
        state = {"no_candidate": "open", "upstream_failed": "closed"}.get(answer.error_type or "")
        if state == "open" or (state is None and known == "open"):
            self._breaker = "open"  # if nobody said, nothing has changed
        return state

    async def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        return await send(self._port, method, path, body)


def _change_in(config: Any) -> int:
    return int(config["categories"].get("wobbly", {}).get("description", 0))
