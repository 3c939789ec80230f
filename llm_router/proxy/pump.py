"""Passes an answer on in the very callback that brought it, without waking a task for each block.

The task sleeps until something needs it: the answer is over, the provider broke off, or the client
has fallen behind and the provider has to wait for it.
"""

import asyncio

from llm_router.errors import ClientGone, UpstreamError
from llm_router.proxy.commit import CommitGate
from llm_router.proxy.deadline import NEVER, Deadline
from llm_router.proxy.relay import ClientStream
from llm_router.upstream.response import UpstreamResponse


class Pump:
    """For an answer that has committed and a client stream that is open."""

    def __init__(
        self, gate: CommitGate, client: ClientStream, deadline: Deadline, idle_s: float, ends: float
    ) -> None:
        self._gate = gate
        self._client = client
        self._deadline = deadline
        self._idle_s = idle_s
        self._ends = ends  # the answer's total deadline
        self._loop = deadline.loop
        self._time = self._loop.time
        self._wanted: asyncio.Future[None] | None = None
        self._rest = b""
        self._is_ended = False
        self._error: UpstreamError | None = None
        self._gone: ClientGone | None = None

    async def run(self, response: UpstreamResponse) -> bytes:
        """Pass on everything but the bytes that end the answer; return those.

        Raises UpstreamError where the provider broke off. Comments do not put off the idle
        deadline, and a client that reads slowly is not the provider's fault.
        """
        while True:
            self._deadline.move(min(self._time() + self._idle_s, self._ends))
            self._wanted = self._loop.create_future()
            try:
                response.attach(self)
                await self._wanted
            finally:
                response.detach()
            if self._gone is not None:
                raise self._gone
            if self._gate.is_over:
                return self._rest
            if self._error is not None and not self._gate.is_finished():
                raise self._error
            if self._is_ended or self._error is not None:
                # After a finish nothing of the answer was lost but its formal end.
                return self._gate.end()
            self._deadline.move(NEVER)
            await self._client.drain()

    # The connection's side

    def feed(self, block: bytes) -> None:
        if self._gate.passes(block):
            self._write(block)
        else:
            self._look(block)

    def end(self) -> None:
        self._is_ended = True
        self._wake()

    def fail(self, error: UpstreamError) -> None:
        self._error = error
        self._wake()

    def _look(self, block: bytes) -> None:
        gate = self._gate
        if gate.is_over:
            gate.has_more = True  # nothing counts behind the end
            return
        events = gate.events
        out = gate.feed(block)
        if gate.is_over:
            self._rest = out
            self._wake()
        elif out:
            self._write(out, is_event=gate.events > events)

    def _write(self, out: bytes, *, is_event: bool = True) -> None:
        """Write, and put the idle deadline off if that was an event."""
        try:
            is_behind = self._client.write_now(out)
        except ClientGone as exc:
            self._gone = exc
            self._wake()
            return
        if is_event:
            idle_ends = self._time() + self._idle_s
            self._deadline.at = idle_ends if idle_ends < self._ends else self._ends
        if is_behind:
            self._wake()

    def _wake(self) -> None:
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)
