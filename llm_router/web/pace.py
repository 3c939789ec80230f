"""When a client is too slow: with its headers, with what it is sent, with its next request."""

import asyncio

from llm_router import platform
from llm_router.settings import DeadlineSettings

_NEVER = float("inf")


class Pace:
    """One connection's deadlines; all times are the loop's.

    Headers must be whole `header_s` after their first byte, of what is sent something must move
    every `write_s`, and the next request begin within `connection_idle_s` where that is asked for.
    """

    __slots__ = ("_deadlines", "_due", "_has_begun", "_idle_s", "_is_busy", "_moved_at", "_untaken")

    def __init__(self, deadlines: DeadlineSettings) -> None:
        self._deadlines = deadlines
        self._idle_s = deadlines.connection_idle_s
        self._due = _NEVER
        self._has_begun = False
        self._is_busy = False
        self._untaken = 0
        self._moved_at = 0.0

    def received(self, now: float) -> None:
        """Bytes have come; if no request is being answered, the first ones begin the next."""
        if not self._has_begun and not self._is_busy:
            self._has_begun, self._due = True, now + self._deadlines.header_s

    def begins(self) -> None:
        """A head is whole. Until the answer is given, the client waits for us."""
        self._has_begun, self._is_busy, self._due = False, True, _NEVER

    def ends(self) -> None:
        """The answer is given."""
        self._is_busy = False

    def rests(self, now: float) -> None:
        """The connection is idle, and will be closed if it stays so."""
        self._has_begun, self._is_busy = False, False
        self._due = now + self._idle_s

    def lingers(self, now: float) -> None:
        """Nothing more will be answered; the client may take a moment to see it."""
        self._due = now + self._deadlines.header_s

    def is_exceeded(self, transport: asyncio.Transport | None, now: float) -> bool:
        """Say whether a deadline has passed; asked again and again."""
        if now > self._due:
            return True
        untaken = platform.untaken_bytes(transport) if transport is not None else 0
        if not untaken or untaken != self._untaken:
            self._untaken, self._moved_at = untaken, now
        return now > self._moved_at + self._deadlines.write_s
