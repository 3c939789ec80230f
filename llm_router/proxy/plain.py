"""A plain answer: the whole of it, after the whole generation, or nothing."""

import asyncio

from llm_router.errors import UpstreamError
from llm_router.proxy.answer import read_answer
from llm_router.proxy.call import Call, before_answer, is_refusal
from llm_router.proxy.deadline import Deadline
from llm_router.proxy.exchange import NO_FACTS, Facts
from llm_router.routing.chain import Candidate
from llm_router.routing.failures import Failure, FailureClass


class PlainCall(Call):
    """`total_s` bounds it; there is no first event to wait for and nothing to stall between."""

    _facts: Facts = NO_FACTS

    def facts(self) -> Facts:
        return self._facts

    async def run(self, chain_ends: float, later: tuple[Candidate, ...]) -> Failure | None:
        total_ends = asyncio.get_running_loop().time() + self.context.settings.deadlines.total_s
        try:
            with Deadline(total_ends):
                response = await self.open()
                if failure := await self.refusal(response, "application/json"):
                    return self.failed(failure, was_refused=is_refusal(failure))
                self.context.breakers.answered(self.permit)
                if not response.is_complete():
                    self.context.exchange.answered(self.attempt, response.generation_id)
                body = await response.body()
        except TimeoutError:
            return await self.broke(Failure(FailureClass.TOTAL_TIMEOUT, "No answer in time."))
        except UpstreamError as exc:
            return await self.broke(before_answer(exc))
        return await self._judge(body, later)

    async def _judge(self, body: bytes, later: tuple[Candidate, ...]) -> Failure | None:
        self._facts, failure = read_answer(body)
        is_empty = failure is not None and failure.kind is FailureClass.EMPTY
        if failure is not None and not (is_empty and self.is_last(later)):
            has_worked = bool(self._facts.usage.completion_tokens)
            return self.failed(failure, was_refused=is_refusal(failure) and not has_worked)
        self.completed(self._facts, note="empty" if is_empty else None)
        await self.context.client.whole(self.client_headers(), body)
        return None
