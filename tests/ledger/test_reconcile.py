import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from llm_router.errors import StorageError, UpstreamError
from llm_router.ledger import reconcile
from llm_router.ledger.fold import Fold
from llm_router.ledger.reconcile import Reconciler
from llm_router.routing.failures import FailureClass
from llm_router.storage.ledger import SqliteLedger
from llm_router.storage.sqlite import Database, open_database
from llm_router.tasks import spawn
from tests.ledger.clock import MovableClock
from tests.ledger.entries import attempt_finished, attempt_started

GENERATION = {
    "data": {
        "total_cost": 0.0001234567891,
        "native_tokens_prompt": 11,
        "native_tokens_completion": 22,
        "native_tokens_cached": 3,
        "native_tokens_reasoning": 4,
        "provider_name": "Parasail",
        "model": "z-ai/glm-5-x",
    }
}


class Provider:
    """Answers /generation by script: a status and a body, or an exception; the last one repeats."""

    def __init__(self) -> None:
        self.script: list[tuple[int, Any] | Exception] = [(200, GENERATION)]
        self.asked: list[str] = []

    async def fetch(self, generation_id: str) -> tuple[int, Any]:
        self.asked.append(generation_id)
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "router.db") as database:
        yield database


@pytest.fixture
def clock() -> MovableClock:
    clock = MovableClock()
    clock.now = 2.0  # the moment at which the attempts of these tests ended
    return clock


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def reconciler(database: Database, provider: Provider, clock: MovableClock) -> Reconciler:
    return Reconciler(SqliteLedger(database), provider.fetch, clock)


async def owe(database: Database, *ids: str) -> None:
    """Let these attempts end without a known cost."""
    fold = Fold(0)
    for id in ids:
        finished = attempt_finished(id, cost=None, source="unknown", generation_id=f"gen-{id}")
        fold.add([attempt_started(id), finished], "p1")
    await SqliteLedger(database).apply(fold.batch)


async def cost(database: Database, id: str = "a") -> tuple[int | None, str]:
    (row,) = await database.read(
        "SELECT cost_nanousd, cost_source FROM attempts WHERE id = ?", (id,)
    )
    return row["cost_nanousd"], row["cost_source"]


async def test_a_missing_cost_is_asked_for_at_once_and_rounded_once(
    database: Database, reconciler: Reconciler, provider: Provider
) -> None:
    """F47, F48."""
    await owe(database, "a")
    assert await reconciler.run_due() == 1
    assert provider.asked == ["gen-a"]
    assert await cost(database) == (123457, "reconciled")
    (row,) = await database.read(
        "SELECT prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, provider, "
        "served_model FROM attempts"
    )
    assert tuple(row) == (11, 22, 3, 4, "Parasail", "z-ai/glm-5-x")
    assert await reconciler.run_due() == 0
    assert provider.asked == ["gen-a"]


async def test_a_body_without_the_data_envelope_is_understood(
    database: Database, reconciler: Reconciler, provider: Provider
) -> None:
    provider.script = [(200, GENERATION["data"])]
    await owe(database, "a")
    assert await reconciler.run_due() == 1


@pytest.mark.parametrize(
    "answer",
    [
        (404, None),
        (500, None),
        (200, None),
        (200, {"data": None}),
        (200, {"data": {"total_cost": None}}),
        (200, {"data": {"total_cost": -1}}),
        (200, "<html>"),
    ],
    ids=str,
)
async def test_what_is_not_known_yet_is_asked_again_later_and_later(
    database: Database,
    reconciler: Reconciler,
    provider: Provider,
    clock: MovableClock,
    answer: tuple[int, Any],
) -> None:
    provider.script = [answer]
    await owe(database, "a")
    for asked, delay_s in enumerate((2, 5, 10, 30, 60, 300, 1800, 7200, 21600, 21600), 1):
        assert await reconciler.run_due() == 0
        assert len(provider.asked) == asked
        clock.now += delay_s - 0.01
        await reconciler.run_due()
        assert len(provider.asked) == asked, "not before its time"
        clock.now += 0.02
    provider.script = [(200, GENERATION)]
    assert await reconciler.run_due() == 1
    assert (await cost(database))[1] == "reconciled"


async def test_after_three_days_the_cost_stays_unknown(
    database: Database,
    reconciler: Reconciler,
    provider: Provider,
    clock: MovableClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    provider.script = [(404, None)]
    await owe(database, "a")
    for _ in range(100):
        await reconciler.run_due()
        clock.now += 3600
    assert await database.read("SELECT * FROM reconciliations") == []
    assert await cost(database) == (None, "unknown")
    assert "stay unknown" in caplog.text


async def test_a_cost_that_waited_through_a_long_stop_gets_a_last_chance(
    database: Database, reconciler: Reconciler, clock: MovableClock
) -> None:
    await owe(database, "a")
    clock.now += 30 * 86_400
    assert await reconciler.run_due() == 1


@pytest.mark.parametrize(("status", "rest_s"), [(401, 600), (402, 600), (403, 600), (429, 60)])
async def test_a_fault_of_the_account_rests_everything(
    database: Database,
    reconciler: Reconciler,
    provider: Provider,
    clock: MovableClock,
    status: int,
    rest_s: float,
) -> None:
    """F11: a wrong key is not tried a thousand times."""
    provider.script = [(status, None), (200, GENERATION)]
    await owe(database, "a", "b", "c")
    assert await reconciler.run_due() == 0
    clock.now += rest_s - 1
    assert await reconciler.run_due() == 0
    assert len(provider.asked) == 1
    clock.now += 2
    assert await reconciler.run_due() == 3


async def test_without_a_network_one_try_speaks_for_all(
    database: Database, reconciler: Reconciler, provider: Provider, clock: MovableClock
) -> None:
    provider.script = [UpstreamError(FailureClass.TRANSPORT, "no route"), (200, GENERATION)]
    await owe(database, "a", "b", "c")
    assert await reconciler.run_due() == 0
    assert len(provider.asked) == 1
    clock.now += 11
    assert await reconciler.run_due() == 3


async def test_one_round_asks_for_a_bounded_number(
    database: Database, reconciler: Reconciler, provider: Provider
) -> None:
    await owe(database, *(f"a{number:02d}" for number in range(50)))
    assert [await reconciler.run_due() for _ in range(4)] == [20, 20, 10, 0]


async def test_a_restart_forgets_no_cost(
    database: Database, provider: Provider, clock: MovableClock
) -> None:
    provider.script = [(404, None), (200, GENERATION)]
    await owe(database, "a")
    await Reconciler(SqliteLedger(database), provider.fetch, clock).run_due()
    after = Reconciler(SqliteLedger(database), provider.fetch, clock)
    assert await after.run_due() == 0, "the wait goes on"
    clock.now += 3
    assert await after.run_due() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("native_tokens_prompt", -1),
        ("native_tokens_prompt", "11"),
        ("native_tokens_prompt", True),
        ("native_tokens_prompt", 10**30),
        ("provider_name", 5),
        ("provider_name", ""),
        ("model", ["x"]),
    ],
    ids=str,
)
async def test_nonsense_beside_the_cost_is_ignored(
    database: Database, reconciler: Reconciler, provider: Provider, field: str, value: object
) -> None:
    """T42: the provider's answer is not trusted."""
    provider.script = [(200, {"data": {**GENERATION["data"], field: value}})]
    await owe(database, "a")
    assert await reconciler.run_due() == 1
    (row,) = await database.read("SELECT prompt_tokens, provider, served_model FROM attempts")
    assert tuple(row) in {
        (10, "Parasail", "z-ai/glm-5-x"),
        (11, "Z.AI", "z-ai/glm-5-x"),
        (11, "Parasail", "z-ai/glm-5-2026"),
    }


async def test_the_task_outlives_a_database_that_cannot_answer(
    database: Database,
    provider: Provider,
    clock: MovableClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """F86: a database that cannot answer now is asked again, and told of once."""
    monkeypatch.setattr(reconcile, "_POLL_S", 0.001)

    class Flaky(SqliteLedger):
        troubles = 2

        async def open_costs(self, due_at: str, limit: int) -> list[reconcile.OpenCost]:
            if self.troubles:
                self.troubles -= 1
                raise StorageError("locked")
            return await super().open_costs(due_at, limit)

        async def settle_cost(self, attempt_id: str, generation: reconcile.Generation) -> None:
            await super().settle_cost(attempt_id, generation)
            settled.set()

    await owe(database, "a")
    settled = asyncio.Event()
    task = spawn(Reconciler(Flaky(database), provider.fetch, clock).run(), name="reconcile")
    await settled.wait()
    task.cancel()
    assert await cost(database) == (123457, "reconciled")
    assert caplog.text.count("locked") == 1
