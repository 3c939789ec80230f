"""A plain answer: the whole of it, after the whole generation, or nothing."""

import asyncio

from llm_router.errors import ClientGone, UpstreamError
from llm_router.proxy.answer import read_answer
from llm_router.proxy.call import Call, before_answer, is_as_asked, is_refusal
from llm_router.proxy.facts import NO_FACTS, Facts
from llm_router.routing.chain import Candidate
from llm_router.routing.failures import Failure, FailureClass

_JSON = "application/json"


class PlainCall(Call):
    """`total_s` bounds it; there is no first event to wait for and nothing to stall between."""

    _facts: Facts = NO_FACTS

    def facts(self) -> Facts:
        return self._facts

    async def run(self, chain_ends: float, later: tuple[Candidate, ...]) -> Failure | None:
        context, deadlines = self.context, self.context.deadlines
        try:
            with deadlines.until(deadlines.now() + context.settings.deadlines.total_s):
                response = self.response = await self.send()
                if not is_as_asked(response, _JSON) and (
                    failure := await self.refusal(response, _JSON)
                ):
                    return self.failed(failure, was_refused=is_refusal(failure))
                was_whole = response.is_complete()
                if not was_whole:
                    context.breakers.answered(self.permit)
                    context.exchange.answered(self.attempt, response.generation_id)
                body = await response.body()
        except TimeoutError:
            return await self.broke(Failure(FailureClass.TOTAL_TIMEOUT, "No answer in time."))
        except UpstreamError as exc:
            return await self.broke(before_answer(exc))
        self._facts, failure = read_answer(body)
        if failure is None:
            self.completed(self._facts)
        else:
            if was_whole:  # what a success says by itself
                context.breakers.answered(self.permit)
            if failure.kind is not FailureClass.EMPTY or not self.is_last(later):
                has_worked = bool(self._facts.usage.completion_tokens)
                return self.failed(failure, was_refused=is_refusal(failure) and not has_worked)
            self.completed(self._facts, note="empty")
        try:
            await context.client.whole(self.client_headers(), body)
        except (ClientGone, asyncio.CancelledError):
            context.exchange.undelivered()
            raise
        return None
