"""How a request began, in the words of the journal: all of it at once, or fact by fact."""

from msgspec import Struct

from llm_router.classify.base import Decision
from llm_router.ledger.compact import Sent, SentLabels
from llm_router.ledger.entry import RequestDecided, RequestStarted


class Asked(Struct, frozen=True, gc=False):
    """What was asked, `at` unix seconds: when the body had arrived."""

    at: float
    requested_model: str | None
    is_stream: bool
    client_key: str | None
    session: str | None


def sent(
    asked: Asked,
    decision: Decision,
    decided_ms: int,
    left_out: str | None,
    model: str,
    sent_at: float,
) -> Sent[SentLabels]:
    """Return all there is to say when the first call leaves, to this model."""
    others, skipped = decision.runners_up, decision.skipped
    runner_up, its_confidence = others[0] if others else (None, None)
    return Sent(
        SentLabels(
            asked.requested_model,
            asked.is_stream,
            asked.client_key,
            decision.category,
            decision.by,
            runner_up,
            "; ".join(skipped) if skipped else None,
            left_out,
            model,
        ),
        asked.at,
        asked.session,
        decision.confidence,
        decided_ms,
        decision.rule or None,
        its_confidence,
        sent_at,
    )


def started(id: str, asked: Asked) -> RequestStarted:
    return RequestStarted(
        id, asked.at, asked.requested_model, asked.is_stream, asked.client_key, asked.session
    )


def decided(id: str, decision: Decision, decided_ms: int) -> RequestDecided:
    others, skipped = decision.runners_up, decision.skipped
    runner_up, its_confidence = others[0] if others else (None, None)
    return RequestDecided(
        id,
        decision.category,
        decision.by,
        decision.confidence,
        decided_ms,
        decision.rule or None,
        runner_up,
        its_confidence,
        "; ".join(skipped) if skipped else None,
    )
