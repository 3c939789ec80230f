"""Single rows: filters, pages and the tail."""

import pytest

from llm_router.ledger.period import Period
from llm_router.storage.requests import Cursor, Filter, Tail, one, page
from llm_router.storage.sqlite import Database
from tests.fakes.ledger import (
    AURORA,
    GLM,
    IN_FLIGHT,
    add_attempt,
    add_exchange,
    add_request,
    change,
)


async def test_pages_are_complete_and_newest_first_even_when_times_are_equal(
    database: Database,
) -> None:
    for n in (3, 7, 0, 9, 5, 1, 8, 4, 2, 6):
        await add_request(database, id=f"r{n}", started_at=f"2026-01-10T12:00:0{n // 3}.000Z")
    seen: list[str] = []
    after = None
    while True:
        rows, after = await page(database, after=after, limit=3)
        seen += [row["id"] for row in rows]
        if after is None:
            break
        after = Cursor.parse(str(after))
    assert seen == [f"r{n}" for n in range(9, -1, -1)]


async def test_a_full_last_page_has_no_next(database: Database) -> None:
    for _ in range(2):
        await add_request(database)
    rows, after = await page(database, limit=2)
    assert (len(rows), after) == (2, None)


@pytest.mark.parametrize("text", ["", "~", "a~", "~b", "nothing"])
def test_what_is_not_a_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a cursor"):
        Cursor.parse(text)


async def test_each_filter_lets_only_its_own_pass(database: Database) -> None:
    odd = await add_request(
        database,
        category="tools",
        classifier="tools",
        client_key="desk",
        session="s1",
        served_model=AURORA,
        **IN_FLIGHT,
    )
    tried = await add_request(database, served_model=GLM)
    await add_attempt(database, tried, model=AURORA, outcome="failed")
    for wanted, expected in (
        (Filter(), {odd, tried}),
        (Filter(category="tools"), {odd}),
        (Filter(classifier="tools"), {odd}),
        (Filter(key="desk"), {odd}),
        (Filter(session="s1"), {odd}),
        (Filter(outcome="in_flight"), {odd}),
        (Filter(outcome="completed"), {tried}),
        (Filter(model=AURORA), {odd, tried}),
        (Filter(model=GLM), {tried}),
        (Filter(category="' OR 1=1--"), set()),
    ):
        rows, _ = await page(database, wanted, limit=10)
        assert {row["id"] for row in rows} == expected, wanted


async def test_a_period_bounds_the_page(database: Database) -> None:
    await add_request(database, started_at="2026-01-10T12:00:00.000Z")
    inside = await add_request(database, started_at="2026-01-10T13:00:00.000Z")
    span = Period("2026-01-10T12:00:00.001Z", "2026-01-10T13:00:00.001Z")
    rows, _ = await page(database, period=span, limit=10)
    assert [row["id"] for row in rows] == [inside]


async def test_one_request_comes_with_its_calls_in_order(database: Database) -> None:
    request = await add_request(database)
    second = await add_attempt(database, request, seq=2)
    first = await add_attempt(database, request, seq=1)
    found = await one(database, request)
    assert found is not None
    row, attempts = found
    assert row["id"] == request
    assert [attempt["id"] for attempt in attempts] == [first, second]
    assert await one(database, "nobody") is None


async def test_the_tail_returns_each_request_once_when_it_ends(database: Database) -> None:
    await add_exchange(database)
    begun = await add_request(database, **IN_FLIGHT)
    tail = Tail(database)
    await tail.start()
    assert await tail.ended() == []

    quick = await add_request(database)
    slow = await add_request(database, **IN_FLIGHT)
    assert [row["id"] for row in await tail.ended()] == [quick]
    await change(database, "UPDATE requests SET outcome = 'failed' WHERE outcome IS NULL")
    assert [row["id"] for row in await tail.ended()] == [begun, slow]
    assert await tail.ended() == []
