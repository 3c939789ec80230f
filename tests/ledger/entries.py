"""Entries for tests: a request at a time, told the way the router tells it."""

from llm_router.ledger.compact import RequestSent, RequestServed, Sent, SentLabels, ServedLabels
from llm_router.ledger.cost import Cost, CostSource, Usage
from llm_router.ledger.entry import (
    AttemptAnswered,
    AttemptFinished,
    AttemptStarted,
    BreakerChanged,
    Entry,
    Kind,
    Outcome,
    RequestDecided,
    RequestFinished,
    RequestStarted,
)
from llm_router.ledger.fold import Fold
from llm_router.ledger.rows import Batch
from tests.fakes.journal import read

T0 = 1_769_860_800.0  # 2026-01-31T12:00:00Z


def request_started(id: str = "r1", at: float = T0) -> RequestStarted:
    return RequestStarted(id, at, "router", True, "laptop", "s1")


def request_decided(id: str = "r1") -> RequestDecided:
    return RequestDecided(id, "code", "keywords", 0.9, 3)


def request_finished(
    id: str = "r1",
    at: float = T0 + 2,
    outcome: Outcome = "completed",
    cost: int | None = 1500,
    source: CostSource = "provider",
    attempts: int = 1,
    error_class: str | None = None,
) -> RequestFinished:
    return RequestFinished(
        id=id,
        at=at,
        outcome=outcome,
        http_status=200,
        error_class=error_class,
        served_model="z-ai/glm-5",
        attempts=attempts,
        usage=Usage(10, 20, 4, 5),
        cost=Cost(cost, source),
        time_to_first_chunk_ms=300,
        total_ms=2000,
        overhead_ms=2,
    )


def attempt_started(
    id: str = "a1", request_id: str = "r1", seq: int = 1, kind: Kind = "chat", at: float = T0 + 0.1
) -> AttemptStarted:
    return AttemptStarted(id, request_id, seq, kind, "z-ai/glm-5", at)


def attempt_answered(id: str = "a1", generation_id: str = "gen-1") -> AttemptAnswered:
    return AttemptAnswered(id, generation_id)


def attempt_finished(
    id: str = "a1",
    at: float = T0 + 2,
    outcome: Outcome = "completed",
    cost: int | None = 1500,
    source: CostSource = "provider",
    generation_id: str | None = "gen-1",
    usage: Usage = Usage(10, 20, 4, 5),  # noqa: B008  frozen
) -> AttemptFinished:
    return AttemptFinished(
        id=id,
        at=at,
        outcome=outcome,
        http_status=200,
        error_class=None,
        served_model="z-ai/glm-5-2026",
        provider="Z.AI",
        generation_id=generation_id,
        usage=usage,
        cost=Cost(cost, source),
        time_to_first_chunk_ms=300,
        total_ms=1900,
        note="no [DONE]",
    )


def whole_request(id: str = "r1", attempt_id: str = "a1", at: float = T0) -> list[Entry]:
    return [
        request_started(id, at),
        request_decided(id),
        attempt_started(attempt_id, id, at=at + 0.1),
        attempt_answered(attempt_id),
        attempt_finished(attempt_id, at + 2),
        request_finished(id, at + 2),
    ]


SENT_LABELS = SentLabels(
    requested_model="router",
    is_stream=True,
    client_key="laptop",
    category="code",
    classifier="keywords",
    runner_up=None,
    skipped=None,
    left_out=None,
    model="z-ai/glm-5",
)
SERVED_LABELS = ServedLabels(
    answered_as="z-ai/glm-5-2026",
    provider="Z.AI",
    cost_source="provider",
    note="no [DONE]",
)
Labels = tuple[SentLabels, ServedLabels]
LABELS = SENT_LABELS, SERVED_LABELS


def sent(at: float = T0, labels: Labels = LABELS) -> Sent[SentLabels]:
    return Sent(
        labels=labels[0],
        at=at,
        session="s1",
        confidence=0.9,
        classifier_ms=3,
        rule=None,
        runner_up_confidence=None,
        sent_at=at + 0.1,
    )


def request_sent(id: str = "r1", at: float = T0, labels: Labels = LABELS) -> Entry:
    """What `request_served` has to follow."""
    return RequestSent(id, sent(at, labels))


def request_served(
    id: str = "r1",
    at: float = T0,
    labels: Labels = LABELS,
    usage: Usage = Usage(10, 20, 4, 5),  # noqa: B008  frozen
    cost: int = 1500,
    first_chunk_ms: int | None = 300,
) -> RequestServed[Sent[SentLabels], ServedLabels]:
    """The same that `whole_request` tells, unless told otherwise."""
    return RequestServed(
        id=id,
        sent=sent(at, labels),
        labels=labels[1],
        generation_id="gen-1",
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        nanousd=cost,
        attempt_first_chunk_ms=first_chunk_ms,
        attempt_ms=1900,
        finished_at=at + 2,
        time_to_first_chunk_ms=first_chunk_ms,
        total_ms=2000,
        overhead_ms=2,
    )


def breaker_changed(subject: str = "z-ai/glm-5", at: float = T0) -> BreakerChanged:
    return BreakerChanged(
        subject=subject,
        at=at,
        from_state="closed",
        to_state="open",
        reason="3 failures",
        request_id="r1",
        until=at + 300,
        until_boot_s=400.0,
        cooldown_until=None,
        cooldown_boot_s=None,
        boot_id="boot",
        failures=3,
        wait_s=300.0,
    )


def fold(*entries: Entry, now: float = T0) -> Batch:
    """Return what they come to once they have been written and read."""
    folding = Fold(now)
    folding.add(read(*entries), "p1")
    return folding.batch
