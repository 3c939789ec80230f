"""One chat request from accept to settlement: its facts, and its entries in the journal.

Entries wait here until the next call leaves or the request ends, so an untroubled request costs two
appends: one before its call leaves, one before its last bytes do.
"""

from collections.abc import Iterator

import msgspec

from llm_router.classify.base import Decision
from llm_router.clock import Clock
from llm_router.ledger.compact import RequestSent, RequestServed, Sent, SentLabels, ServedLabels
from llm_router.ledger.cost import NO_USAGE, UNKNOWN_COST, Cost, Usage
from llm_router.ledger.entry import (
    AttemptAnswered,
    AttemptStarted,
    Entry,
    Kind,
    Outcome,
    RequestFinished,
)
from llm_router.ledger.journal import Journal
from llm_router.ledger.pricing import total_cost
from llm_router.proxy import beginning
from llm_router.proxy.attempt import Attempt
from llm_router.proxy.beginning import Asked
from llm_router.proxy.facts import NO_FACTS, Facts


class Exchange:
    """Keeps the books of one request. `finish` may be called once; later calls are ignored."""

    # What an untroubled request never reads before it is set; the rest is quicker on the instance.
    is_begun = False
    is_finished = False
    is_cut = False  # the router itself ends this request: it is shutting down
    decision: Decision | None = None
    model: str | None = None  # the candidate that serves, or was tried last
    usage: Usage = NO_USAGE
    answered_by: str | None = None  # the model of which the client has got something
    _upstream_ms = 0  # spent on chat calls
    _costs: tuple[Cost, ...] = ()
    # What was asked and how long deciding took; None once they are in the journal.
    _asked: Asked | None = None
    _decided_ms: int | None = None
    # How it began, once its first call has left and while that may answer all of it.
    _sent: Sent[SentLabels] | None = None

    def __init__(self, request_id: str, journal: Journal, clock: Clock) -> None:
        self.id = request_id
        self.attempts = 0  # chat calls sent
        self.first_chunk_ms: int | None = None
        self._journal = journal
        self._now = clock.monotonic
        self._started = self._read = clock.monotonic()
        # Wall time is monotonic time plus this: a clock that is set ends no request too early.
        self._epoch = clock.wall() - self._started
        self._seq = 0
        self._left_out: dict[str, str] | None = None
        self._pending: tuple[Entry, ...] = ()

    def begin(
        self, requested: str | None, is_stream: bool, client_key: str | None, session: str | None
    ) -> None:
        """Note what was asked; the row appears with the first call or the end.

        The body has arrived by now: however long that took, it was nobody's decision.
        """
        self.is_begun = True
        self._read = read = self._now()
        self._asked = Asked(self._epoch + read, requested, is_stream, client_key, session)

    def decided(self, decision: Decision) -> None:
        self.decision = decision
        self._decided_ms = round(1000 * (self._now() - self._read))

    def leave_out(self, model: str, reason: str) -> None:
        """Note a candidate that is not asked."""
        if self._left_out is None:
            self._left_out = {}
        self._left_out[model] = reason

    def attempt(self, kind: Kind, model: str) -> Attempt:
        """Journal a call that is about to leave."""
        self._seq = seq = self._seq + 1
        now = self._now()
        attempt = Attempt(f"{self.id}.{seq}", kind, model, now)
        asked, decision, decided_ms = self._asked, self.decision, self._decided_ms
        if kind == "chat":
            self.attempts += 1
            self.model = model
            if seq == 1 and asked is not None and decision is not None and decided_ms is not None:
                left_out = self._left_out_text()
                self._sent = sent = beginning.sent(
                    asked, decision, decided_ms, left_out, model, self._epoch + now
                )
                self._journal.append(RequestSent(self.id, sent))
                self._asked = self._decided_ms = None
                return attempt
        self._sent = None
        self._pending += (AttemptStarted(attempt.id, self.id, seq, kind, model, self._epoch + now),)
        self._flush()
        return attempt

    def answered(self, attempt: Attempt, generation_id: str | None) -> None:
        """Journal the provider's name for a generation that has only begun."""
        if generation_id is not None and attempt.generation_id is None:
            attempt.generation_id = generation_id
            self._journal.append(AttemptAnswered(attempt.id, generation_id))

    def first_chunk(self, attempt: Attempt) -> None:
        now = self._now()
        attempt.first_chunk_ms = round(1000 * (now - attempt.started))
        self.first_chunk_ms = round(1000 * (now - self._started))

    def attempt_over(
        self,
        attempt: Attempt,
        outcome: Outcome,
        cost: Cost,
        facts: Facts = NO_FACTS,
        *,
        http_status: int | None = None,
        error_class: str | None = None,
        note: str | None = None,
    ) -> None:
        """Note how a call ended; a second ending of the same call is ignored.

        A classifier's call may end after its decision was due, even after the request did.
        """
        if attempt.is_over:
            return
        attempt.is_over = True
        now = self._now()
        total_ms = round(1000 * (now - attempt.started))
        self._costs += (cost,)
        if attempt.kind == "chat":
            self._upstream_ms += total_ms
            self.usage = facts.usage
            if outcome == "completed" or attempt.first_chunk_ms is not None:
                self.answered_by = attempt.model
        self._pending += (
            attempt.finished(
                self._epoch + now, total_ms, outcome, http_status, error_class, cost, facts, note
            ),
        )
        if self.is_finished or (attempt.kind == "classifier" and self.decision is not None):
            self._flush()

    def completed(self, attempt: Attempt, cost: Cost, facts: Facts, note: str | None) -> None:
        """Journal that a call has answered the request, before the last bytes are written."""
        sent = self._sent
        if sent is None or cost.nanousd is None or attempt.is_over:
            self.attempt_over(attempt, "completed", cost, facts, http_status=200, note=note)
            self.finish("completed", 200, None)
            return
        attempt.is_over = self.is_finished = True
        self.usage = usage = facts.usage
        self.answered_by = attempt.model
        now = self._now()
        attempt_ms = round(1000 * (now - attempt.started))
        total_ms = round(1000 * (now - self._started))
        self._journal.append(
            RequestServed(
                self.id,
                sent,
                ServedLabels(facts.model, facts.provider, cost.source, note),
                facts.generation_id or attempt.generation_id,
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.cached_tokens,
                usage.reasoning_tokens,
                cost.nanousd,
                attempt.first_chunk_ms,
                attempt_ms,
                self._epoch + now,
                self.first_chunk_ms,
                total_ms,
                self._overhead_ms(total_ms, attempt_ms),
            )
        )

    def finish(self, outcome: Outcome, http_status: int | None, error_class: str | None) -> None:
        """Journal how the request ended, before the bytes that end the answer are written."""
        if self.is_finished:
            return
        self.is_finished = True
        if not self.is_begun:  # an explanation: its classifier calls are booked, itself is not
            self._flush()
            return
        now = self._now()
        total_ms = round(1000 * (now - self._started))
        served_model = self.model if outcome in ("completed", "truncated", "abandoned") else None
        self._pending += (
            RequestFinished(
                id=self.id,
                at=self._epoch + now,
                outcome=outcome,
                http_status=http_status,
                error_class=error_class,
                served_model=served_model,
                attempts=self.attempts,
                usage=self.usage,
                cost=UNKNOWN_COST if len(self._costs) < self._seq else total_cost(self._costs),
                time_to_first_chunk_ms=self.first_chunk_ms,
                total_ms=total_ms,
                overhead_ms=self._overhead_ms(total_ms, self._upstream_ms),
                left_out=self._left_out_text(),
            ),
        )
        self._flush()

    def undelivered(self) -> None:
        """Correct what `completed` said: not all of the answer reached the client.

        What the call came to stays as it is.
        """
        now = self._now()
        self._journal.append(
            RequestFinished(
                id=self.id,
                at=self._epoch + now,
                outcome="truncated" if self.is_cut else "abandoned",
                http_status=200,
                error_class="draining" if self.is_cut else "client_gone",
                served_model=None,
                attempts=self.attempts,
                usage=NO_USAGE,
                cost=UNKNOWN_COST,
                time_to_first_chunk_ms=None,
                total_ms=round(1000 * (now - self._started)),
                overhead_ms=None,
                left_out=None,
            )
        )

    def headers(self) -> dict[str, str]:
        """Return the x-router-* headers as far as the facts are known."""
        headers = {"x-router-request-id": self.id, "x-router-attempts": str(self.attempts)}
        if (decision := self.decision) is not None:
            headers["x-router-category"] = decision.category
            headers["x-router-classifier"] = decision.by
        if (model := self.model) is not None:
            headers["x-router-model"] = model
        return headers

    def _flush(self) -> None:
        if entries := (*self._beginning(), *self._pending):
            self._journal.append(*entries)
            self._pending = ()

    def _beginning(self) -> Iterator[Entry]:
        """Yield what is not in the journal yet of how the request began."""
        if self._asked is not None:
            yield beginning.started(self.id, self._asked)
        if self.decision is not None and self._decided_ms is not None:
            yield beginning.decided(self.id, self.decision, self._decided_ms)
        self._asked = self._decided_ms = None

    def _left_out_text(self) -> str | None:
        return msgspec.json.encode(self._left_out).decode() if self._left_out else None

    def _overhead_ms(self, total_ms: int, upstream_ms: int) -> int:
        """Return what was neither the provider's time nor the body's on its way here."""
        ours_ms = total_ms - upstream_ms - round(1000 * (self._read - self._started))
        return ours_ms if ours_ms > 0 else 0
