from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from llm_router.classify.base import Decision, FinishedCall
from llm_router.ledger import journal as journal_module
from llm_router.ledger.compact import RequestSent, RequestServed, Sent
from llm_router.ledger.cost import NO_USAGE, REFUSED_COST, UNKNOWN_COST, Cost, CostSource, Usage
from llm_router.ledger.entry import (
    AttemptAnswered,
    AttemptFinished,
    AttemptStarted,
    Outcome,
    RequestDecided,
    RequestFinished,
    RequestStarted,
)
from llm_router.ledger.pricing import total_cost
from llm_router.proxy.classifier_book import ClassifierBook
from llm_router.proxy.exchange import Exchange
from llm_router.proxy.facts import Facts
from tests.fakes.clock import Clock
from tests.fakes.journal import Journal
from tests.ledger import entries

GLM = "z-ai/glm-5"
MINI = "openai/gpt-4o-mini"
CODE = Decision("code", "keywords", 0.9, "a rule")
PAID = Cost(700, "provider")
USAGE = Usage(9, 10, 4, 3)


class Bench:
    """An exchange, its clock and its journal; begun and decided unless told otherwise."""

    def __init__(self, *, is_begun: bool = True) -> None:
        self.clock = Clock()
        self.journal = Journal()
        journal = cast(journal_module.Journal, self.journal)
        self.exchange = Exchange("req_1", journal, self.clock)
        if is_begun:
            self.exchange.begin("router", True, "laptop", "s-1")
            self.exchange.decided(CODE)

    def kinds(self) -> list[list[type[Any]]]:
        return [[type(entry) for entry in frame] for frame in self.journal.frames]


@pytest.fixture
def bench() -> Bench:
    return Bench()


# What is appended, and when


def test_an_untroubled_request_costs_two_appends(bench: Bench) -> None:
    assert bench.journal.frames == []
    attempt = bench.exchange.attempt("chat", GLM)
    assert bench.kinds() == [[RequestStarted, RequestDecided, AttemptStarted]]
    bench.exchange.first_chunk(attempt)
    bench.exchange.attempt_over(attempt, "completed", PAID, Facts(USAGE), http_status=200)
    assert len(bench.journal.frames) == 1
    bench.exchange.finish("completed", 200, None)
    assert bench.kinds()[1] == [AttemptFinished, RequestFinished]
    assert len(bench.journal.frames) == 2


def test_a_call_is_journaled_before_it_leaves_with_all_that_went_before(bench: Bench) -> None:
    first = bench.exchange.attempt("chat", GLM)
    bench.exchange.attempt_over(first, "failed", REFUSED_COST, error_class="upstream_5xx")
    bench.exchange.attempt("chat", MINI)
    assert bench.kinds()[1] == [AttemptFinished, AttemptStarted]
    assert [a.seq for a in bench.journal.all(AttemptStarted)] == [1, 2]
    assert [a.id for a in bench.journal.all(AttemptStarted)] == ["req_1.1", "req_1.2"]


def test_the_entries_say_what_was_asked_and_decided(bench: Bench) -> None:
    bench.exchange.attempt("chat", GLM)
    at = bench.clock.unix
    assert bench.journal.entries == [
        RequestStarted("req_1", at, "router", True, "laptop", "s-1"),
        RequestDecided("req_1", "code", "keywords", 0.9, 0, "a rule"),
        AttemptStarted("req_1.1", "req_1", 1, "chat", GLM, at),
    ]


def test_the_entries_say_why_as_well() -> None:
    bench = Bench(is_begun=False)
    bench.exchange.begin("router", True, None, None)
    others = (("reasoning", 0.06), ("conversation", 0.04))
    skipped = ("ollama: timeout", "api: HTTP 503")
    bench.exchange.decided(Decision("code", "local", 0.9, "a rule", others, skipped))
    bench.exchange.leave_out("openrouter/aurora-alpha", "gone")
    bench.exchange.leave_out(GLM, "skipped: open")
    bench.exchange.finish("failed", 503, "no_candidate")
    decided = bench.journal.only(RequestDecided)
    assert (decided.rule, decided.runner_up, decided.runner_up_confidence) == (
        "a rule",
        "reasoning",
        0.06,
    )
    assert decided.skipped == "ollama: timeout; api: HTTP 503"
    assert bench.journal.only(RequestFinished).left_out == (
        '{"openrouter/aurora-alpha":"gone","z-ai/glm-5":"skipped: open"}'
    )


def test_a_request_that_calls_nobody_is_one_append() -> None:
    bench = Bench(is_begun=False)
    bench.exchange.begin(None, False, None, None)
    bench.exchange.finish("failed", 400, "invalid_request")
    assert bench.kinds() == [[RequestStarted, RequestFinished]]
    finished = bench.journal.only(RequestFinished)
    assert (finished.attempts, finished.cost) == (0, Cost(0, "computed"))
    assert (finished.http_status, finished.error_class) == (400, "invalid_request")


def test_the_generations_name_is_journaled_once_and_at_once(bench: Bench) -> None:
    """F69: then its cost can be asked for, whatever happens to this process."""
    attempt = bench.exchange.attempt("chat", GLM)
    bench.exchange.answered(attempt, None)
    bench.exchange.answered(attempt, "gen-1")
    bench.exchange.answered(attempt, "gen-2")
    assert bench.journal.frames[1:] == [(AttemptAnswered("req_1.1", "gen-1"),)]
    bench.exchange.attempt_over(attempt, "truncated", UNKNOWN_COST)
    bench.exchange.finish("truncated", 200, "upstream_reset")
    assert bench.journal.only(AttemptFinished).generation_id == "gen-1"


def test_what_the_answer_calls_itself_goes_before_the_header(bench: Bench) -> None:
    attempt = bench.exchange.attempt("chat", GLM)
    bench.exchange.answered(attempt, "gen-header")
    facts = Facts(USAGE, PAID, "z-ai/glm-5-20260101", "Parasail", "gen-body")
    bench.exchange.attempt_over(attempt, "completed", PAID, facts, http_status=200, note="n")
    bench.exchange.finish("completed", 200, None)
    finished = bench.journal.only(AttemptFinished)
    assert finished.generation_id == "gen-body"
    assert (finished.served_model, finished.provider) == ("z-ai/glm-5-20260101", "Parasail")
    assert (finished.usage, finished.cost, finished.note) == (USAGE, PAID, "n")


# One call that answers all

SENT_LABELS = replace(entries.SENT_LABELS, left_out='{"a/gone":"gone"}')
SERVED_LABELS = replace(entries.SERVED_LABELS, provider="Parasail", note="n")


def test_what_its_first_call_answers_is_told_as_one(bench: Bench) -> None:
    exchange, clock = bench.exchange, bench.clock
    exchange.leave_out("a/gone", "gone")
    clock.pass_s(0.010)
    attempt = exchange.attempt("chat", GLM)
    clock.pass_s(0.100)
    exchange.first_chunk(attempt)
    clock.pass_s(0.200)
    facts = Facts(USAGE, PAID, "z-ai/glm-5-2026", "Parasail", "gen-1")
    exchange.completed(attempt, PAID, facts, "n")
    sent, served = bench.journal.appended
    begun, _, leaving = bench.journal.frames[0]
    assert isinstance(begun, RequestStarted)
    assert isinstance(leaving, AttemptStarted)
    assert isinstance(sent, RequestSent)
    assert sent.sent == Sent(
        labels=SENT_LABELS,
        at=begun.at,
        session="s-1",
        confidence=0.9,
        classifier_ms=0,
        rule="a rule",
        runner_up_confidence=None,
        sent_at=leaving.at,
    )
    assert served == RequestServed(
        id="req_1",
        sent=sent.sent,
        labels=SERVED_LABELS,
        generation_id="gen-1",
        prompt_tokens=9,
        completion_tokens=10,
        cached_tokens=4,
        reasoning_tokens=3,
        nanousd=700,
        attempt_first_chunk_ms=100,
        attempt_ms=300,
        finished_at=bench.clock.unix,
        time_to_first_chunk_ms=110,
        total_ms=310,
        overhead_ms=10,
    )
    assert (exchange.is_finished, exchange.answered_by, attempt.is_over) == (True, GLM, True)
    exchange.attempt_over(attempt, "failed", UNKNOWN_COST)
    exchange.finish("abandoned", 499, "client_gone")
    assert len(bench.journal.appended) == 2


@pytest.mark.parametrize("case", ["a second call", "a classifier's call", "an unknown cost"])
def test_what_took_more_than_one_call_is_told_fact_by_fact(bench: Bench, case: str) -> None:
    exchange, cost = bench.exchange, PAID
    if case == "a second call":
        first = exchange.attempt("chat", MINI)
        exchange.attempt_over(first, "failed", REFUSED_COST)
    elif case == "a classifier's call":
        exchange.attempt("classifier", MINI)
    else:
        cost = UNKNOWN_COST
    exchange.completed(exchange.attempt("chat", GLM), cost, Facts(USAGE), None)
    *_, ended, finished = bench.journal.appended
    assert isinstance(ended, AttemptFinished)
    assert isinstance(finished, RequestFinished)
    assert (ended.outcome, finished.outcome, finished.served_model) == (
        "completed",
        "completed",
        GLM,
    )


# Endings


def test_an_attempt_ends_once(bench: Bench) -> None:
    attempt = bench.exchange.attempt("chat", GLM)
    bench.exchange.attempt_over(attempt, "completed", PAID, Facts(USAGE), http_status=200)
    bench.exchange.attempt_over(attempt, "failed", UNKNOWN_COST, error_class="local")
    bench.exchange.finish("completed", 200, None)
    assert bench.journal.only(AttemptFinished).outcome == "completed"
    assert bench.journal.only(RequestFinished).cost == PAID


def test_a_request_ends_once(bench: Bench) -> None:
    """F49: a client that leaves with the last byte changes nothing any more."""
    bench.exchange.finish("completed", 200, None)
    bench.exchange.finish("abandoned", 499, "client_gone")
    assert bench.journal.only(RequestFinished).outcome == "completed"
    assert bench.exchange.is_finished


def test_what_follows_a_finished_request_is_left_to_the_next_append(bench: Bench) -> None:
    bench.exchange.finish("completed", 200, None)
    frames = len(bench.journal.frames)
    bench.exchange.finish("failed", 500, "internal")
    assert len(bench.journal.frames) == frames


def test_an_explanation_books_its_classifier_calls_but_not_itself() -> None:
    bench = Bench(is_begun=False)
    attempt = bench.exchange.attempt("classifier", "qwen/qwen3-1.7b")
    bench.exchange.attempt_over(attempt, "completed", PAID)
    bench.exchange.finish("completed", 200, None)
    assert bench.kinds() == [[AttemptStarted], [AttemptFinished]]


def test_an_explanation_that_calls_nobody_appends_nothing() -> None:
    bench = Bench(is_begun=False)
    bench.exchange.finish("completed", 200, None)
    assert bench.journal.frames == []


@pytest.mark.parametrize(
    ("outcome", "served"),
    [("completed", MINI), ("truncated", MINI), ("abandoned", MINI), ("failed", None)],
)
def test_the_model_that_served_is_the_last_one_unless_nobody_did(
    bench: Bench, outcome: Outcome, served: str | None
) -> None:
    first = bench.exchange.attempt("chat", GLM)
    bench.exchange.attempt_over(first, "failed", REFUSED_COST)
    second = bench.exchange.attempt("chat", MINI)
    bench.exchange.attempt_over(second, outcome, PAID, Facts(USAGE))
    bench.exchange.finish(outcome, 200, None)
    finished = bench.journal.only(RequestFinished)
    assert finished.served_model == served
    assert (finished.attempts, finished.usage) == (2, USAGE)


# Times


def test_times_are_measured_from_where_they_begin(bench: Bench) -> None:
    clock, exchange = bench.clock, bench.exchange
    clock.pass_s(0.010)
    first = exchange.attempt("chat", GLM)
    clock.pass_s(0.100)
    exchange.attempt_over(first, "failed", REFUSED_COST)
    clock.pass_s(0.005)
    second = exchange.attempt("chat", MINI)
    clock.pass_s(0.200)
    exchange.first_chunk(second)
    clock.pass_s(0.300)
    exchange.attempt_over(second, "completed", PAID)
    clock.pass_s(0.001)
    exchange.finish("completed", 200, None)
    one, two = bench.journal.all(AttemptFinished)
    assert (one.total_ms, one.time_to_first_chunk_ms) == (100, None)
    assert (two.total_ms, two.time_to_first_chunk_ms) == (500, 200)
    request = bench.journal.only(RequestFinished)
    assert (request.total_ms, request.time_to_first_chunk_ms) == (616, 315)
    assert request.overhead_ms == 16
    assert request.at == bench.clock.unix


def test_a_body_that_arrives_slowly_is_neither_decision_nor_overhead() -> None:
    bench = Bench(is_begun=False)
    bench.clock.pass_s(3)
    bench.exchange.begin("router", False, None, None)
    bench.clock.pass_s(0.25)
    bench.exchange.decided(CODE)
    bench.exchange.finish("failed", 503, "no_candidate")
    assert bench.journal.only(RequestDecided).classifier_ms == 250
    finished = bench.journal.only(RequestFinished)
    assert (finished.total_ms, finished.overhead_ms) == (3250, 250)


def test_what_we_added_is_never_negative(bench: Bench) -> None:
    """Two calls may overlap: a classifier's and the chat's own."""
    one, two = bench.exchange.attempt("classifier", MINI), bench.exchange.attempt("chat", GLM)
    bench.clock.pass_s(1)
    bench.exchange.attempt_over(one, "completed", PAID)
    bench.exchange.attempt_over(two, "completed", PAID)
    bench.exchange.finish("completed", 200, None)
    assert bench.journal.only(RequestFinished).overhead_ms == 0


def test_asking_a_classifier_is_time_that_we_added(bench: Bench) -> None:
    asked = bench.exchange.attempt("classifier", MINI)
    bench.clock.pass_s(0.4)
    bench.exchange.attempt_over(asked, "completed", PAID)
    bench.exchange.finish("failed", 503, "no_candidate")
    assert bench.journal.only(RequestFinished).overhead_ms == 400


# The headers


def test_headers_say_what_is_known_so_far() -> None:
    bench = Bench(is_begun=False)
    assert bench.exchange.headers() == {
        "x-router-request-id": "req_1",
        "x-router-attempts": "0",
    }
    bench.exchange.begin("router", True, None, None)
    bench.exchange.decided(CODE)
    assert bench.exchange.headers() == {
        "x-router-request-id": "req_1",
        "x-router-category": "code",
        "x-router-classifier": "keywords",
        "x-router-attempts": "0",
    }
    bench.exchange.attempt("classifier", "a/b")
    bench.exchange.attempt("chat", GLM)
    assert bench.exchange.headers()["x-router-attempts"] == "1"
    assert bench.exchange.headers()["x-router-model"] == GLM


# Classifier calls


def test_a_classifier_call_is_booked_in_its_request(bench: Bench) -> None:
    book = ClassifierBook(bench.exchange)
    attempt_id = book.attempt_started("qwen/qwen3-1.7b")
    bench.clock.pass_s(0.05)
    call = FinishedCall(
        "completed",
        PAID,
        http_status=200,
        usage=USAGE,
        served_model="qwen/qwen3-1.7b",
        provider="DeepInfra",
        generation_id="gen-1",
    )
    book.attempt_finished(attempt_id, call)
    chat = bench.exchange.attempt("chat", GLM)
    bench.exchange.attempt_over(chat, "completed", Cost(50, "computed"), Facts(Usage(1, 2)))
    bench.exchange.finish("completed", 200, None)
    started, chat_started = bench.journal.all(AttemptStarted)
    assert (started.kind, started.id, started.model) == (
        "classifier",
        attempt_id,
        "qwen/qwen3-1.7b",
    )
    assert chat_started.kind == "chat"
    booked = bench.journal.all(AttemptFinished)[0]
    assert (booked.generation_id, booked.provider, booked.total_ms) == ("gen-1", "DeepInfra", 50)
    request = bench.journal.only(RequestFinished)
    assert request.attempts == 1, "only chat calls count"
    assert request.usage == Usage(1, 2), "the tokens are those of the answer"
    assert request.cost == Cost(750, "computed"), "but the money is everybody's"


def test_a_classifier_alone_serves_no_model(bench: Bench) -> None:
    book = ClassifierBook(bench.exchange)
    book.attempt_started("qwen/qwen3-1.7b")
    assert bench.exchange.model is None
    assert "x-router-model" not in bench.exchange.headers()


# Sums


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ([], Cost(0, "computed")),
        ([PAID], PAID),
        ([REFUSED_COST], REFUSED_COST),
        ([REFUSED_COST, PAID], PAID),
        ([PAID, UNKNOWN_COST], UNKNOWN_COST),
        ([REFUSED_COST, UNKNOWN_COST], UNKNOWN_COST),
        ([PAID, Cost(5, "computed")], Cost(705, "computed")),
        ([PAID, Cost(0, "provider")], PAID),
        ([Cost(5, "estimated"), Cost(5, "reconciled"), PAID], Cost(710, "estimated")),
        ([Cost(0, "estimated"), PAID], Cost(700, "estimated")),
    ],
    ids=[
        "no call",
        "one",
        "a refusal",
        "a refusal says nothing about the rest",
        "unknown",
        "unknown beside a refusal",
        "the least trusted",
        "free",
        "estimated",
        "estimated nothing",
    ],
)
def test_a_request_costs_the_sum_of_its_calls(costs: list[Cost], expected: Cost) -> None:
    assert total_cost(costs) == expected


_SOURCES: list[CostSource] = ["provider", "reconciled", "computed", "estimated"]
_known = st.builds(Cost, st.integers(0, 10**15), st.sampled_from(_SOURCES))
_costs = st.lists(_known | st.just(UNKNOWN_COST), max_size=6)


@given(_costs)
def test_a_sum_is_unknown_exactly_when_a_part_is(costs: list[Cost]) -> None:
    total = total_cost(costs)
    parts = [cost.nanousd for cost in costs]
    assert (total.nanousd is None) == (None in parts) == (total.source == "unknown")
    if total.nanousd is not None:
        assert total.nanousd == sum(part or 0 for part in parts)


@given(_costs, st.randoms())
def test_a_sum_does_not_depend_on_the_order(costs: list[Cost], random: Any) -> None:
    shuffled = costs.copy()
    random.shuffle(shuffled)
    assert total_cost(shuffled) == total_cost(costs)


@given(st.lists(_known, min_size=1, max_size=6))
def test_a_sum_is_never_more_trusted_than_a_part_that_cost_something(costs: list[Cost]) -> None:
    total = total_cost(costs)
    for cost in costs:
        if cost.nanousd:
            assert _SOURCES.index(total.source) >= _SOURCES.index(cost.source)


def test_facts_are_empty_by_default() -> None:
    assert Facts() == Facts(NO_USAGE, None, None, None, None)


def test_a_classifier_call_may_end_after_its_request(bench: Bench) -> None:
    """Its cost is known then, and so the request's, which storage sums up."""
    late = bench.exchange.attempt("classifier", "a/b")
    chat = bench.exchange.attempt("chat", GLM)
    bench.exchange.attempt_over(chat, "completed", PAID)
    bench.exchange.finish("completed", 200, None)
    assert bench.journal.only(RequestFinished).cost == UNKNOWN_COST
    bench.exchange.attempt_over(late, "completed", PAID, note="too late")
    [entry] = bench.journal.frames[-1]
    assert isinstance(entry, AttemptFinished)
    assert (entry.id, entry.cost, entry.note) == (late.id, PAID, "too late")


def test_a_call_for_an_explanation_may_be_late_too() -> None:
    bench = Bench(is_begun=False)
    late = bench.exchange.attempt("classifier", "a/b")
    bench.exchange.finish("completed", 200, None)
    bench.exchange.attempt_over(late, "completed", PAID)
    assert bench.kinds() == [[AttemptStarted], [AttemptFinished]]


def test_a_late_classifier_call_is_journaled_at_once(bench: Bench) -> None:
    """Not with the end of a stream that may run for half an hour."""
    late = bench.exchange.attempt("classifier", "a/b")
    bench.exchange.attempt("chat", GLM)
    bench.exchange.attempt_over(late, "completed", PAID)
    assert bench.kinds()[-1] == [AttemptFinished]


@pytest.mark.parametrize("jump_s", [-10 * 365 * 86_400, -3600, 3600, 10 * 365 * 86_400])
def test_a_clock_that_is_set_meanwhile_moves_no_end_away_from_its_beginning(
    bench: Bench, jump_s: float
) -> None:
    """F77: ends are beginnings plus what it took."""
    attempt = bench.exchange.attempt("chat", GLM)
    bench.clock.pass_s(2)
    bench.clock.unix += jump_s
    bench.exchange.attempt_over(attempt, "completed", PAID, Facts(USAGE))
    bench.exchange.finish("completed", 200, None)
    entries = [entry for frame in bench.journal.frames for entry in frame]
    [begun] = [e for e in entries if isinstance(e, RequestStarted)]
    ends = [e.at for e in entries if isinstance(e, AttemptFinished | RequestFinished)]
    assert ends == [pytest.approx(begun.at + 2)] * 2
