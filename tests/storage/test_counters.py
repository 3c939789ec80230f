"""The totals that triggers keep for Prometheus."""

from llm_router.storage.counters import Counters, Labels, read_counters
from llm_router.storage.retention import prune
from llm_router.storage.sqlite import Database
from tests.fakes.ledger import (
    AURORA,
    GLM,
    IN_FLIGHT,
    UNKNOWN_COST,
    add_attempt,
    add_exchange,
    add_request,
    change,
)

LABELS = Labels(("code", "direct"), (GLM,), ("keywords",), ("transport",))
NOW = "2026-01-10T12:00:00.000Z"


def requests(counters: Counters) -> dict[tuple[str, str, str], int]:
    return {
        (row["category"], row["outcome"], row["classifier"]): row["requests"]
        for row in counters.requests
    }


async def test_a_request_counts_when_it_has_ended_however_its_row_came(
    database: Database,
) -> None:
    await add_request(database)
    late = await add_request(database, **IN_FLIGHT)
    assert requests(await read_counters(database, LABELS, NOW)) == {
        ("code", "completed", "keywords"): 1
    }
    await change(database, "UPDATE requests SET outcome = 'failed' WHERE id = ?", late)
    await change(database, "UPDATE requests SET outcome = 'truncated' WHERE id = ?", late)
    assert requests(await read_counters(database, LABELS, NOW)) == {
        ("code", "completed", "keywords"): 1,
        ("code", "failed", "keywords"): 1,
    }


async def test_an_upsert_counts_once(database: Database) -> None:
    request = await add_request(database, **IN_FLIGHT)
    for _ in range(2):
        await change(
            database,
            "INSERT INTO requests (id, started_at, process, outcome, total_ms) "
            "VALUES (?, '2026-01-10T12:00:00.000Z', 'p', 'completed', 5) ON CONFLICT (id) "
            "DO UPDATE SET outcome = excluded.outcome, total_ms = excluded.total_ms",
            request,
        )
    counters = await read_counters(database, LABELS, NOW)
    assert requests(counters) == {("code", "completed", "keywords"): 1}
    assert {row["observations"] for row in counters.latencies if row["le_ms"] >= 5} == {1}


async def test_a_cost_counts_once_when_it_is_known(database: Database) -> None:
    request = await add_request(database, **UNKNOWN_COST)
    attempt = await add_attempt(database, request, **{**UNKNOWN_COST, "completion_tokens": None})
    counters = await read_counters(database, LABELS, NOW)
    [row] = counters.attempts
    assert (row["attempts"], row["cost_nanousd"], row["completion"]) == (1, 0, 0)
    assert counters.cost_unknown == 1

    for _ in range(2):
        await change(
            database,
            "UPDATE attempts SET cost_nanousd = 5, completion_tokens = 30 WHERE id = ?",
            attempt,
        )
        await change(database, "UPDATE requests SET cost_nanousd = 5 WHERE id = ?", request)
    counters = await read_counters(database, LABELS, NOW)
    [row] = counters.attempts
    assert (row["attempts"], row["cost_nanousd"], row["completion"]) == (1, 5, 30)
    assert counters.cost_unknown == 0


async def test_a_correction_downwards_lets_no_counter_fall(database: Database) -> None:
    request = await add_request(database)
    attempt = await add_attempt(database, request, cost_nanousd=10)
    await change(
        database, "UPDATE attempts SET cost_nanousd = 4, prompt_tokens = 1 WHERE id = ?", attempt
    )
    [row] = (await read_counters(database, LABELS, NOW)).attempts
    assert (row["cost_nanousd"], row["prompt"]) == (10, 10)


async def test_labels_come_from_the_configuration_only(database: Database) -> None:
    """T26: what clients and providers make up adds no time series."""
    for number in range(30):
        request = await add_request(
            database, category=f"made-up-{number}", classifier=f"odd-{number}"
        )
        await add_attempt(
            database, request, model=f"vendor/{number}", outcome="failed", error_class=f"x{number}"
        )
    await add_request(database, category=None, classifier=None)
    counters = await read_counters(database, LABELS, NOW)
    assert requests(counters) == {
        ("none", "completed", "none"): 1,
        ("other", "completed", "other"): 30,
    }
    [row] = counters.attempts
    assert (row["model"], row["error_class"], row["attempts"]) == ("other", "other", 30)
    assert {row["category"] for row in counters.latencies} == {"none", "other"}


async def test_buckets_hold_all_that_is_not_slower(database: Database) -> None:
    for ms in (1, 6, 10, 11, 10**9):
        await add_request(database, total_ms=ms, time_to_first_chunk_ms=None, overhead_ms=None)
    rows = (await read_counters(database, LABELS, NOW)).latencies
    assert {row["measure"] for row in rows} == {"total"}
    counts = {row["le_ms"]: row["observations"] for row in rows}
    assert [counts[le] for le in (1, 5, 10, 25, 1_800_000)] == [1, 1, 3, 4, 4]
    assert counts[max(counts)] == 5
    assert rows[0]["sum_ms"] == 28 + 10**9


async def test_pruning_touches_no_counter(database: Database) -> None:
    await add_exchange(database)
    await add_request(database, **UNKNOWN_COST)
    before = await read_counters(database, LABELS, NOW)
    await prune(database, "2027-01-01T00:00:00.000Z")
    assert await read_counters(database, LABELS, NOW) == before
    assert before.cost_unknown == 1


async def test_states_are_those_of_configured_models_and_of_gates(database: Database) -> None:
    for subject, state in ((GLM, "open"), (AURORA, "open"), ("gate:account", "half_open")):
        await change(
            database,
            "INSERT INTO breakers (subject, state, since) VALUES (?, ?, '2026')",
            subject,
            state,
        )
    breakers = (await read_counters(database, LABELS, NOW)).breakers
    assert breakers == {GLM: "open", "gate:account": "half_open"}


async def test_a_gate_that_cools_down_shuts_out_every_model_and_a_model_only_itself(
    database: Database,
) -> None:
    for subject, until in (
        ("gate:rate", "2026-01-10T12:00:05.000Z"),
        ("gate:transport", "2026-01-10T11:59:59.000Z"),
        (GLM, "2026-01-10T12:00:05.000Z"),
    ):
        await change(
            database,
            "INSERT INTO breakers (subject, state, since, cooldown_until) "
            "VALUES (?, 'closed', '2026', ?)",
            subject,
            until,
        )
    counters = await read_counters(database, LABELS, NOW)
    assert counters.breakers == {"gate:rate": "open", "gate:transport": "closed", GLM: "closed"}


async def test_transitions_are_counted_by_gate_and_configured_model(database: Database) -> None:
    """T26"""
    for subject in (GLM, GLM, AURORA, "vendor/made-up", "gate:account"):
        await change(
            database,
            "INSERT INTO breaker_transitions (at, subject, from_state, to_state, reason) "
            "VALUES ('2026', ?, 'closed', 'open', 'why')",
            subject,
        )
    counters = await read_counters(database, LABELS, NOW)
    assert [tuple(row) for row in counters.transitions] == [
        ("gate:account", "closed", "open", 1),
        ("other", "closed", "open", 2),
        (GLM, "closed", "open", 2),
    ]
