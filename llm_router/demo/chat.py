"""POST /chat/completions of the demo upstream: who asks, for which model, and what they get."""

from dataclasses import dataclass, replace
from decimal import Decimal

from aiohttp import web

from llm_router.demo import answers, ask, directives, frames, refusals
from llm_router.demo.answers import Answer
from llm_router.demo.ask import Ask
from llm_router.demo.behaviour import HEALTHY, Behaviour
from llm_router.demo.generations import Generations
from llm_router.demo.models import DemoModel, ModelList
from llm_router.demo.refusals import Refused
from llm_router.demo.script import Call, Script
from llm_router.demo.wire import Stream, Wire


@dataclass(frozen=True, slots=True)
class Chat:
    """`gap_ms` paces a stream and `comments` lead it, unless a behaviour says otherwise."""

    script: Script
    models: ModelList
    generations: Generations
    api_key: str | None
    gap_ms: int
    comments: int

    async def handle(self, request: web.Request) -> web.StreamResponse:
        call = self.script.record(request, await request.read())
        with self.script.watching(call):
            try:
                refusals.authorize(request, self.api_key)
                asked = self._read(call)
                model = self._model(asked)
                how = self._how(asked)
            except Refused as exc:
                wire = Wire(request, self.script, call, HEALTHY)
                return await wire.plain(exc.body(), status=exc.status)
            wire = Wire(request, self.script, call, how)
            return await self._perform(wire, call, asked, answers.compose(asked, model, how))

    def _read(self, call: Call) -> Ask:
        asked = ask.read(call.body)
        if asked is None:
            raise Refused(400, "No models provided")
        call.model = asked.model
        return asked

    def _model(self, asked: Ask) -> DemoModel:
        model = self.models.find(asked.model)
        if model is not None:
            return model
        if self.models.is_gone(asked.model):
            raise Refused(404, f"No endpoints found for {asked.model}.")
        raise Refused(400, f"{asked.model} is not a valid model ID")

    def _how(self, asked: Ask) -> Behaviour:
        # A `*` about answers should not also hit the calls that only ask for a category.
        is_classification = asked.is_classification
        try:
            how = self.script.behaviour(asked.model, asked.text, by_name_only=is_classification)
        except directives.DirectiveError as exc:
            raise Refused(400, f"[[demo …]]: {exc}") from exc
        load = None if is_classification else directives.load(asked.text)
        if load is None or how.chunks is not None:
            return how
        return replace(how, chunks=load[0], gap=load[1])

    async def _perform(
        self, wire: Wire, call: Call, asked: Ask, answer: Answer
    ) -> web.StreamResponse:
        how = answer.shape
        if how.html:
            return await wire.page()
        is_event = asked.is_streaming and how.via == "event"
        if how.status is not None and not is_event:
            error = refusals.body(how.status, how, answer.served, answer.provider)
            if how.via != "http":
                return await wire.plain(error)
            return await wire.plain(error, status=how.status, headers=refusals.headers(how))
        call.generation_id = answer.id
        headers = {"X-Generation-Id": answer.id}
        try:
            if not asked.is_streaming or how.json:
                return await wire.plain(frames.body(answer), headers=headers)
            return await wire.stream(self._stream(answer), headers)
        finally:
            tokens = _billed_tokens(answer, call)
            call.billed_usd = sum(answer.price_usd(tokens), Decimal(0))
            self.generations.add(answer, call, tokens=tokens)

    def _stream(self, answer: Answer) -> Stream:
        how = answer.shape
        preamble = [frames.COMMENT] * (self.comments if how.comments is None else how.comments)
        if how.role:
            preamble.append(frames.role_chunk(answer))
        return Stream(
            content_type="text/event-stream",
            preamble=preamble,
            chunks=frames.chunks(answer),
            tail=frames.tail(answer),
            error=refusals.event(answer) if how.is_streamed_error else None,
            beat=frames.COMMENT,
            gap_ms=self.gap_ms if how.gap is None else how.gap,
        )


def _billed_tokens(answer: Answer, call: Call) -> int:
    """Return the completion tokens that the provider charges for; without one it charges nothing.

    What does not stream is charged in full. A stream is charged as far as it came, or in full
    where its client left and the provider cannot be stopped; one that ended in an error is free.
    """
    whole = answer.completion_tokens
    if not answer.is_streaming or answer.shape.json:
        return whole
    if answer.shape.is_streamed_error:
        return 0
    if call.chunks == frames.count(answer):
        return whole
    client_left = not (call.finished or call.dropped)
    return whole if client_left and answer.model.bills_cancelled else min(call.chunks, whole)
