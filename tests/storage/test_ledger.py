from typing import Any

import pytest
from msgspec.structs import fields

from llm_router.errors import StorageError
from llm_router.ledger.cost import CostSource, Usage
from llm_router.ledger.entry import Entry
from llm_router.ledger.fold import Fold
from llm_router.ledger.reconcile import Generation, OpenCost
from llm_router.ledger.rows import Advance, AttemptRow, Batch, RequestRow
from llm_router.storage.ledger import SqliteLedger
from llm_router.storage.sqlite import Database
from tests.fakes.journal import read
from tests.ledger.entries import (
    T0,
    attempt_answered,
    attempt_finished,
    attempt_started,
    breaker_changed,
    request_decided,
    request_finished,
    request_started,
    whole_request,
)


@pytest.fixture
def ledger(database: Database) -> SqliteLedger:
    return SqliteLedger(database)


async def tell(ledger: SqliteLedger, *entries: Entry, process: str = "p1") -> None:
    """Let the ledger hear of these in one batch."""
    fold = Fold(T0)
    fold.add(read(*entries), process)
    await ledger.apply(fold.batch)


async def one(database: Database, sql: str) -> dict[str, Any]:
    (row,) = await database.read(sql)
    return dict(row)


REQUEST = "SELECT * FROM requests"
ATTEMPT = "SELECT * FROM attempts"
COST = "SELECT cost_nanousd, cost_source FROM requests"


async def test_every_column_gets_its_own_value(database: Database, ledger: SqliteLedger) -> None:
    fold = Fold(T0)
    fold.add(read(*whole_request()), "p1")
    await ledger.apply(fold.batch)
    for kind, table, row in (
        (RequestRow, REQUEST, fold.batch.requests["r1"]),
        (AttemptRow, ATTEMPT, fold.batch.attempts["a1"]),
    ):
        stored = await one(database, table)
        assert stored == {f.name: getattr(row, f.name) for f in fields(kind)}


@pytest.mark.parametrize("cuts", [(1, 2, 3, 4, 5), (2,), (4,), (5,), ()], ids=str)
async def test_however_entries_fall_into_batches_the_rows_are_the_same(
    database: Database, ledger: SqliteLedger, cuts: tuple[int, ...]
) -> None:
    entries = whole_request()
    whole = Fold(T0)
    whole.add(read(*entries), "p1")
    for start, end in zip((0, *cuts), (*cuts, len(entries)), strict=True):
        await tell(ledger, *entries[start:end])
    request, attempt = await one(database, REQUEST), await one(database, ATTEMPT)
    assert request == {
        f.name: getattr(whole.batch.requests["r1"], f.name) for f in fields(RequestRow)
    }
    assert attempt == {
        f.name: getattr(whole.batch.attempts["a1"], f.name) for f in fields(AttemptRow)
    }


async def test_a_later_outcome_corrects_an_earlier_one_and_unsays_nothing(
    database: Database, ledger: SqliteLedger
) -> None:
    """F49: the client left while the answer's last bytes were written."""
    await tell(ledger, *whole_request())
    before = await one(database, REQUEST)
    await tell(
        ledger,
        request_finished(
            outcome="abandoned", cost=None, source="unknown", error_class="client_gone"
        ),
        attempt_finished(outcome="abandoned", cost=None, source="unknown", usage=Usage()),
    )
    assert await one(database, REQUEST) == {
        **before,
        "outcome": "abandoned",
        "error_class": "client_gone",
    }
    attempt = await one(database, ATTEMPT)
    assert (attempt["outcome"], attempt["prompt_tokens"]) == ("abandoned", 10)
    assert (attempt["cost_nanousd"], attempt["cost_source"]) == (1500, "provider")
    assert await database.read("SELECT * FROM reconciliations") == []


async def test_breaker_changes_are_written_with_the_rows(
    database: Database, ledger: SqliteLedger
) -> None:
    await tell(ledger, breaker_changed())
    row = await one(database, "SELECT subject, to_state FROM breaker_transitions")
    assert row == {"subject": "z-ai/glm-5", "to_state": "open"}


async def test_a_batch_that_starts_elsewhere_than_the_last_ended_is_void(
    database: Database, ledger: SqliteLedger
) -> None:
    await ledger.apply(Batch(advances=[Advance("s", 0, 10)]))
    for stale in (Advance("s", 0, 20), Advance("s", 5, 20), Advance("s", 20, 30)):
        fold = Fold(T0)
        fold.add([request_started()], "p1")
        fold.batch.advances.append(stale)
        with pytest.raises(StorageError, match="two at once"):
            await ledger.apply(fold.batch)
    assert await ledger.offsets() == {"s": 10}
    assert await database.read(REQUEST) == []
    await ledger.apply(Batch(advances=[Advance("s", 10, 30)]))
    await ledger.forget(["s", "never there"])
    assert await ledger.offsets() == {}


async def test_only_a_call_with_an_id_and_without_a_cost_is_asked_for(
    database: Database, ledger: SqliteLedger
) -> None:
    """F47, F48: what an abandoned stream cost."""
    await tell(
        ledger,
        attempt_started("known"),
        attempt_finished("known", generation_id="gen-known"),
        attempt_started("nameless"),
        attempt_finished("nameless", cost=None, source="unknown", generation_id=None),
        attempt_started("open"),
        attempt_answered("open", "gen-open"),
    )
    await tell(ledger, attempt_finished("open", cost=None, source="unknown", generation_id=None))
    assert await ledger.open_costs("2026-01-31T12:00:02.000Z", 10) == [
        OpenCost("open", "gen-open", 0, "2026-01-31T12:00:02.000Z")
    ]
    assert await ledger.open_costs("2026-01-31T12:00:01.999Z", 10) == []


async def test_postponed_costs_come_back_in_order_and_abandoned_ones_never(
    ledger: SqliteLedger,
) -> None:
    for name in ("a", "b", "c"):
        finished = attempt_finished(name, cost=None, source="unknown", generation_id=f"gen-{name}")
        await tell(ledger, attempt_started(name), finished)
    await ledger.postpone_cost("a", "2026-01-31T12:00:09.000Z")
    await ledger.postpone_cost("a", "2026-01-31T12:00:07.000Z")
    await ledger.give_up_cost("b")
    due = await ledger.open_costs("2026-01-31T12:00:08.000Z", 10)
    assert [(cost.attempt_id, cost.tries) for cost in due] == [("c", 0), ("a", 2)]
    assert len(await ledger.open_costs("2026-01-31T12:00:08.000Z", 1)) == 1


async def test_a_cost_put_off_by_a_clock_that_was_far_ahead_is_due_again(
    ledger: SqliteLedger,
) -> None:
    """F77: it would otherwise be asked for in ten years."""
    finished = attempt_finished("a", cost=None, source="unknown", generation_id="gen-a")
    await tell(ledger, attempt_started("a"), finished)
    await ledger.postpone_cost("a", "2036-01-31T12:00:00.000Z")
    assert [cost.attempt_id for cost in await ledger.open_costs("2026-01-31T12:00:00.000Z", 9)] == [
        "a"
    ]
    await ledger.postpone_cost("a", "2026-01-31T18:00:00.000Z")
    assert await ledger.open_costs("2026-01-31T12:00:00.000Z", 9) == []


LEARNED = Generation(700, Usage(11, 22, 3, 4), "Parasail", "z-ai/glm-5-x")


async def test_a_cost_learned_later_completes_attempt_and_request(
    database: Database, ledger: SqliteLedger
) -> None:
    unknown: dict[str, Any] = {"cost": None, "source": "unknown"}
    await tell(
        ledger,
        request_started(),
        attempt_started("a0", seq=1, kind="classifier"),
        attempt_finished("a0", cost=30),
        attempt_started("a1", seq=2),
        attempt_finished("a1", outcome="abandoned", usage=Usage(), **unknown),
        request_finished(outcome="abandoned", **unknown),
    )
    assert await one(database, COST) == {"cost_nanousd": None, "cost_source": "unknown"}
    await ledger.settle_cost("a1", LEARNED)
    attempt = await one(database, ATTEMPT + " WHERE id = 'a1'")
    assert (attempt["cost_nanousd"], attempt["cost_source"]) == (700, "reconciled")
    assert (attempt["prompt_tokens"], attempt["completion_tokens"]) == (11, 22)
    assert (attempt["cached_tokens"], attempt["reasoning_tokens"]) == (3, 4)
    assert (attempt["provider"], attempt["served_model"]) == ("Parasail", "z-ai/glm-5-x")
    request = await one(database, REQUEST)
    assert (request["cost_nanousd"], request["cost_source"]) == (730, "reconciled")
    assert (request["prompt_tokens"], request["completion_tokens"]) == (11, 22)
    assert request["served_model"] == "z-ai/glm-5", "as the request said itself"
    assert await database.read("SELECT * FROM reconciliations") == []


async def test_what_was_not_learned_stays_as_it_was(
    database: Database, ledger: SqliteLedger
) -> None:
    await tell(ledger, attempt_started(), attempt_finished(cost=None, source="unknown"))
    await ledger.settle_cost("a1", Generation(0, Usage(), None, None))
    attempt = await one(database, ATTEMPT)
    assert (attempt["cost_nanousd"], attempt["cost_source"]) == (0, "reconciled")
    assert (attempt["prompt_tokens"], attempt["provider"]) == (10, "Z.AI")


async def test_a_cost_the_provider_told_meanwhile_is_not_replaced(
    database: Database, ledger: SqliteLedger
) -> None:
    await tell(ledger, attempt_started(), attempt_finished(cost=None, source="unknown"))
    await tell(ledger, attempt_finished(cost=1500))
    await ledger.settle_cost("a1", LEARNED)
    assert (await one(database, ATTEMPT))["cost_source"] == "provider"
    assert await database.read("SELECT * FROM reconciliations") == []


async def test_tokens_of_a_failed_or_superseded_attempt_are_not_the_request_s(
    database: Database, ledger: SqliteLedger
) -> None:
    await tell(
        ledger,
        request_started(),
        attempt_started("a1", seq=1),
        attempt_finished("a1", outcome="failed", cost=None, source="unknown"),
        attempt_started("a2", seq=2),
        attempt_finished("a2"),
        request_finished(cost=None, source="unknown", attempts=2),
    )
    await ledger.settle_cost("a1", LEARNED)
    request = await one(database, REQUEST)
    assert (request["prompt_tokens"], request["cost_nanousd"]) == (10, 2200)


@pytest.mark.parametrize(
    ("costs", "sum_nanousd", "source"),
    [
        ([(5, "provider"), (0, "computed")], 5, "provider"),
        ([(5, "provider"), (6, "computed")], 11, "computed"),
        ([(0, "computed"), (0, "computed")], 0, "computed"),
        ([(5, "reconciled"), (6, "provider")], 11, "reconciled"),
        ([(5, "estimated"), (6, "computed"), (7, "reconciled")], 18, "estimated"),
        ([(5, "reconciled"), (6, "computed")], 11, "computed"),
        ([(5, "provider"), (None, "unknown")], None, "unknown"),
    ],
    ids=str,
)
async def test_a_request_costs_the_sum_of_its_attempts_with_the_weakest_source(
    database: Database,
    ledger: SqliteLedger,
    costs: list[tuple[int | None, CostSource]],
    sum_nanousd: int | None,
    source: str,
) -> None:
    await tell(ledger, request_started(), request_decided())
    for seq, (cost, known_by) in enumerate(costs):
        await tell(ledger, attempt_started(f"a{seq}", seq=seq))
        await tell(ledger, attempt_finished(f"a{seq}", cost=cost, source=known_by))
    await tell(ledger, request_finished(cost=None, source="unknown", attempts=len(costs)))
    assert await one(database, COST) == {"cost_nanousd": sum_nanousd, "cost_source": source}


async def test_a_call_that_ends_after_its_request_completes_the_sum(
    database: Database, ledger: SqliteLedger
) -> None:
    await tell(
        ledger,
        request_started(),
        attempt_started(),
        request_finished(cost=None, source="unknown"),
    )
    assert await one(database, COST) == {"cost_nanousd": None, "cost_source": "unknown"}
    await tell(ledger, attempt_finished(cost=8))
    assert await one(database, COST) == {"cost_nanousd": 8, "cost_source": "provider"}


async def test_a_request_s_own_word_on_its_cost_is_not_recomputed(
    database: Database, ledger: SqliteLedger
) -> None:
    await tell(ledger, request_started(), request_finished(cost=77), attempt_started())
    await tell(ledger, attempt_finished(cost=8))
    assert (await one(database, COST))["cost_nanousd"] == 77


async def test_an_attempt_whose_row_is_missing_leaves_the_sum_unknown(
    database: Database, ledger: SqliteLedger
) -> None:
    await tell(ledger, request_started(), attempt_started(), attempt_finished(cost=8))
    await tell(ledger, request_finished(cost=None, source="unknown", attempts=2))
    assert await one(database, COST) == {"cost_nanousd": None, "cost_source": "unknown"}


async def test_burying_touches_the_dead_process_s_open_rows_only(
    database: Database, ledger: SqliteLedger
) -> None:
    await tell(ledger, request_started("r1"), attempt_started("a1", "r1"), process="dead")
    await tell(ledger, request_started("r2"), attempt_started("a2", "r2"), process="alive")
    await tell(ledger, *whole_request("r3", "a3"), process="dead")
    assert await ledger.processes_in_flight() == {"dead", "alive"}
    assert await ledger.bury("dead", "2026-01-31T13:00:00.000Z") == 2
    assert await ledger.bury("dead", "2026-01-31T14:00:00.000Z") == 0
    found = await database.read("SELECT id, outcome, finished_at FROM requests ORDER BY id")
    assert [tuple(row) for row in found] == [
        ("r1", "lost", "2026-01-31T13:00:00.000Z"),
        ("r2", None, None),
        ("r3", "completed", "2026-01-31T12:00:02.000Z"),
    ]
    assert await ledger.processes_in_flight() == {"alive"}
