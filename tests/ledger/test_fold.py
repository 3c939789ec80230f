from msgspec.structs import fields

from llm_router.ledger.fold import Fold
from llm_router.ledger.rows import AttemptRow, RequestRow
from tests.fakes.journal import read
from tests.ledger.entries import (
    T0,
    attempt_answered,
    attempt_finished,
    breaker_changed,
    fold,
    request_decided,
    request_finished,
    request_sent,
    request_served,
    whole_request,
)


def test_a_whole_request_becomes_one_row_and_one_attempt() -> None:
    batch = fold(*whole_request())
    assert batch.requests == {
        "r1": RequestRow(
            id="r1",
            process="p1",
            started_at="2026-01-31T12:00:00.000Z",
            requested_model="router",
            is_stream=True,
            client_key="laptop",
            session="s1",
            category="code",
            classifier="keywords",
            confidence=0.9,
            classifier_ms=3,
            finished_at="2026-01-31T12:00:02.000Z",
            outcome="completed",
            http_status=200,
            served_model="z-ai/glm-5",
            attempts=1,
            prompt_tokens=10,
            completion_tokens=20,
            cached_tokens=4,
            reasoning_tokens=5,
            cost_nanousd=1500,
            cost_source="provider",
            time_to_first_chunk_ms=300,
            total_ms=2000,
            overhead_ms=2,
        )
    }
    attempt = batch.attempts["a1"]
    assert attempt == AttemptRow(
        id="a1",
        process="p1",
        started_at="2026-01-31T12:00:00.100Z",
        request_id="r1",
        seq=1,
        kind="chat",
        model="z-ai/glm-5",
        served_model="z-ai/glm-5-2026",
        provider="Z.AI",
        generation_id="gen-1",
        finished_at="2026-01-31T12:00:02.000Z",
        outcome="completed",
        http_status=200,
        note="no [DONE]",
        prompt_tokens=10,
        completion_tokens=20,
        cached_tokens=4,
        reasoning_tokens=5,
        cost_nanousd=1500,
        cost_source="provider",
        time_to_first_chunk_ms=300,
        total_ms=1900,
    )
    assert [f.name for f in fields(attempt) if getattr(attempt, f.name) is None] == ["error_class"]


def test_an_end_without_a_beginning_still_makes_a_row() -> None:
    """The beginning came in an earlier batch; should it be missing, the end is still told."""
    batch = fold(attempt_finished(), request_finished(), request_decided("r2"), now=T0 + 60)
    assert batch.attempts["a1"].started_at == "2026-01-31T12:00:02.000Z"
    assert batch.requests["r1"].started_at == "2026-01-31T12:00:02.000Z"
    assert batch.requests["r2"].started_at == "2026-01-31T12:01:00.000Z"


def test_answers_and_breaker_changes_are_kept() -> None:
    batch = fold(attempt_answered(), breaker_changed(), breaker_changed("other"))
    assert batch.attempts["a1"].generation_id == "gen-1"
    assert [change.subject for change in batch.breakers] == ["z-ai/glm-5", "other"]


def test_beginnings_are_folded_a_few_at_a_time() -> None:
    """Decoding hundreds at once would keep everybody else on the event loop waiting."""
    folding = Fold(T0)
    folding.add(read(*(request_sent(f"r{number}") for number in range(5))), "p1")
    assert folding.settle(3)
    folding.add(read(request_served("r0"), request_served("r4")), "p1")
    assert not folding.settle(3)
    batch = folding.batch
    assert [len(group.entries) for group in batch.served.values()] == [1]
    assert {id: row.outcome for id, row in batch.requests.items()} == {
        "r0": "completed",
        "r1": None,
        "r2": None,
        "r3": None,
    }
    assert batch.begun == {f"r{n}{call}" for n in range(4) for call in ("", ".1")}
