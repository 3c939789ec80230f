"""A streamed answer: held until its first substance, then passed on block by block."""

import asyncio
from typing import NoReturn

from llm_router.errors import UpstreamError
from llm_router.proxy.call import Call, Context, before_answer, is_as_asked, is_refusal
from llm_router.proxy.commit import CommitGate
from llm_router.proxy.deadline import NEVER, Deadline
from llm_router.proxy.facts import Facts
from llm_router.proxy.pump import Pump
from llm_router.proxy.verdict import in_band_error
from llm_router.routing.chain import Candidate
from llm_router.routing.failures import Failure, FailureClass
from llm_router.routing.permits import Permit
from llm_router.tasks import launch
from llm_router.upstream.response import UpstreamResponse

_EVENTS = "text/event-stream"
_LEFTOVER_LIMIT = 64 * 1024
_LEFTOVER_S = 1.0


class StreamCall(Call):
    def __init__(
        self, context: Context, model: str, permit: Permit, *, on_new_connection: bool = False
    ) -> None:
        super().__init__(context, model, permit, on_new_connection=on_new_connection)
        self._gate = CommitGate(context.body.choices)
        self._loop = context.deadlines.loop
        self._total_ends = NEVER
        self._is_begun = False  # the client has been sent something of this answer

    def facts(self) -> Facts:
        return self._gate.facts()

    async def run(self, chain_ends: float, later: tuple[Candidate, ...]) -> Failure | None:
        deadlines = self.context.settings.deadlines
        now = self._loop.time()
        self._total_ends = now + deadlines.total_s
        first_event = min(now + deadlines.first_event_s, chain_ends, self._total_ends)
        try:
            with self.context.deadlines.until(first_event) as deadline:
                response = self.response = await self.send()
                if not is_as_asked(response, _EVENTS) and (
                    failure := await self.refusal(response, _EVENTS)
                ):
                    return self.failed(failure, was_refused=is_refusal(failure))
                self.context.breakers.answered(self.permit)
                self.context.exchange.answered(self.attempt, response.generation_id)
                return await self._relay(response, deadline, later)
        except (TimeoutError, UpstreamError) as exc:
            if self.response is not None and self._gate.is_finished():
                # Nothing of the answer is missing but its formal end, which nobody waits for.
                return await self._ended(self.response, self._gate.end(), later)
            if isinstance(exc, TimeoutError):
                return await self.broke(self._late())
            return await self.broke(
                Failure(exc.kind, exc.message) if self._is_begun else before_answer(exc)
            )

    async def broke(self, failure: Failure) -> Failure:
        if self._is_begun:
            await self._break_off(failure, b"")
        return await super().broke(failure)

    async def _relay(
        self, response: UpstreamResponse, deadline: Deadline, later: tuple[Candidate, ...]
    ) -> Failure | None:
        """Hold the answer until its commit, then let it through until it ends."""
        gate, context = self._gate, self.context
        while True:
            block = await response.block()
            out = gate.feed(block) if block else gate.end()
            if not gate.is_over and out:
                deadline.move(NEVER)
                await self._begin()
                await context.client.write(out)
                idle_s = context.settings.deadlines.idle_s
                pump = Pump(gate, context.client, deadline, idle_s, self._total_ends)
                out = await pump.run(response)
            if gate.is_over:
                deadline.move(NEVER)
                return await self._ended(response, out, later)

    async def _begin(self) -> None:
        """The commit: from here on nobody else may answer."""
        self._is_begun = True
        await self.context.client.stop_keep_alive()
        self.context.exchange.first_chunk(self.attempt)
        await self.context.client.open(self.client_headers())

    async def _ended(
        self, response: UpstreamResponse, out: bytes, later: tuple[Candidate, ...]
    ) -> Failure | None:
        gate, failure, note = self._gate, self._gate.failure, self._gate.note
        if failure is not None and failure.kind is FailureClass.EMPTY and self.is_last(later):
            out, failure, note = gate.held(), None, "empty"
        if failure is None:
            if not self._is_begun:
                await self._begin()
            self.completed(gate.facts(), note)
            await self.context.client.write(out)
            await self.context.client.end()
            self._leave(response)
            return None
        if gate.is_committed:
            await self._break_off(failure, out)
        return self.failed(failure, was_refused=gate.events <= 1 and is_refusal(failure))

    async def _break_off(self, failure: Failure, out: bytes) -> NoReturn:
        """Pass on what is whole, say what happened, and end so that nobody takes it for an end."""
        if not self._is_begun:
            self.context.exchange.first_chunk(self.attempt)
        was_told = self._gate.error_passed  # by the provider's own event
        self.broke_off(failure, FailureClass.ERROR_MID.value if was_told else None)
        if not self._is_begun:
            await self._begin()
        client = self.context.client
        if out:
            await client.write(out)
        raise await client.cut(None if self._gate.error_passed else in_band_error(failure))

    def _leave(self, response: UpstreamResponse) -> None:
        """Keep the connection for the next call; its last chunk may still be on the way."""
        self.response = None
        if self._gate.has_more:
            response.discard()
        elif not response.is_complete():
            launch(_read_leftovers(response), name="upstream-leftovers")

    def _late(self) -> Failure:
        if self._loop.time() >= self._total_ends:
            return Failure(FailureClass.TOTAL_TIMEOUT, "The answer took too long as a whole.")
        if self._is_begun:
            return Failure(FailureClass.STALL_MID, "The provider stopped sending.")
        return Failure(FailureClass.STALL_FIRST, "The provider did not begin to answer in time.")


async def _read_leftovers(response: UpstreamResponse) -> None:
    try:
        async with asyncio.timeout(_LEFTOVER_S):
            rest = await response.body(_LEFTOVER_LIMIT)
    except (TimeoutError, UpstreamError):
        response.close()
        return
    if rest:
        response.discard()
