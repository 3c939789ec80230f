import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from llm_router.errors import StorageError, UpstreamError
from llm_router.ledger.cost import Usage
from llm_router.ledger.pricing import cost_of
from llm_router.routing.catalog import Catalog, CatalogHolder, read_models
from llm_router.routing.config import Category, ConfigHolder, RoutingConfig
from llm_router.routing.failures import FailureClass
from llm_router.settings import DeadlineSettings, UpstreamSettings
from llm_router.upstream.client import UpstreamClient
from llm_router.upstream.models import ModelList
from llm_router.upstream.pool import open_pool
from tests.fakes.upstream import running_upstream

HOUR = 3600.0
OFFLINE = UpstreamError(FailureClass.TRANSPORT, "The name cannot be resolved.")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


class Upstream:
    """Answers each fetch with the next of `answers`; the last one stays."""

    def __init__(self, *answers: tuple[int, object] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, object]] = []

    async def get_json(
        self, path: str, params: Mapping[str, str] | None = None, *, timeout_s: float
    ) -> tuple[int, Any]:
        self.asked.append((path, params))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Store:
    def __init__(self, stored: Catalog | None = None) -> None:
        self.stored = stored or Catalog()
        self.is_broken = False

    async def fetched_at(self) -> float | None:
        self._check()
        return self.stored.fetched_at

    async def load(self) -> Catalog:
        self._check()
        return self.stored

    async def save(self, catalog: Catalog) -> None:
        self._check()
        self.stored = catalog

    def _check(self) -> None:
        if self.is_broken:
            raise StorageError("disk I/O error")


def listing(**prices: str) -> tuple[int, object]:
    entries = [
        {"id": f"v/{name}", "pricing": {"prompt": price, "completion": price}}
        for name, price in prices.items()
    ]
    return 200, {"data": entries}


def stored(at: float = 500.0, **prices: str) -> Catalog:
    return Catalog(read_models(listing(**prices)[1]), fetched_at=at)


def config(*models: str) -> ConfigHolder:
    return ConfigHolder(RoutingConfig(1, {"code": Category("code", models)}))


class Bench:
    """A model list with everything around it."""

    def __init__(
        self,
        *answers: tuple[int, object] | Exception,
        store: Store | None = None,
        models: tuple[str, ...] = ("v/a",),
        classifiers: tuple[str, ...] = (),
    ) -> None:
        self.upstream = Upstream(*answers)
        self.holder = CatalogHolder()
        self.store = store or Store()
        self.config = config(*models)
        self.clock = Clock()
        self.wakes: asyncio.Queue[None] = asyncio.Queue()
        self.sleeps: asyncio.Queue[float] = asyncio.Queue()
        self.list = ModelList(
            self.upstream,
            self.holder,
            self.store,
            self.config,
            self.clock,
            refresh_s=HOUR,
            classifiers=classifiers,
            sleep=self._sleep,
        )

    @property
    def ids(self) -> list[str]:
        return [model.id for model in self.holder.current.models]

    def price(self, model_id: str) -> object:
        return (self.holder.current.pricing(model_id) or {})["prompt"]

    async def _sleep(self, delay_s: float) -> None:
        self.sleeps.put_nowait(delay_s)
        await self.wakes.get()


# --- fetching -------------------------------------------------------------------------------------


async def test_a_fetched_list_is_in_force_and_stored() -> None:
    bench = Bench(listing(a="1"))
    assert await bench.list.refresh()
    assert bench.ids == ["v/a"]
    assert bench.holder.current.fetched_at == 1000.0
    assert bench.store.stored is bench.holder.current


async def test_models_that_write_no_text_are_asked_for_too() -> None:
    bench = Bench(listing(a="1"))
    await bench.list.refresh()
    assert bench.upstream.asked == [("models", {"output_modalities": "all"})]


@pytest.mark.parametrize(
    "answer",
    [
        OFFLINE,
        (500, {"error": {}}),
        (500, listing(z="1")[1]),
        (200, None),
        (200, []),
        (200, {}),
        (404, None),
        (200, {"data": []}),
        (200, {"data": "x"}),
        (200, {"data": [None, {"id": 5}]}),
    ],
)
async def test_a_fetched_list_outlives_every_answer_that_is_none(
    answer: tuple[int, object] | Exception,
) -> None:
    """F46: unreachable or malformed, the last good list stays, and its age shows."""
    bench = Bench(listing(a="1"), answer)
    await bench.list.refresh()
    bench.clock.now += HOUR
    assert not await bench.list.refresh()
    assert bench.ids == ["v/a"]
    assert bench.holder.current.fetched_at == 1000.0


@pytest.mark.parametrize("answer", [(404, None), (404, {"error": {}}), (200, {})])
async def test_an_upstream_without_a_list_leaves_every_id_to_be_tried(
    answer: tuple[int, object],
) -> None:
    """A list stored in an earlier run is then another upstream's, so it goes."""
    bench = Bench(answer, store=Store(stored(b="1")))
    await bench.list.load()
    assert bench.holder.current.is_gone("v/a")
    assert await bench.list.refresh()
    assert not bench.holder.current
    assert not bench.holder.current.is_gone("v/a")
    assert not bench.store.stored


@pytest.mark.parametrize("answer", [OFFLINE, (500, {}), (503, None)])
async def test_a_stored_list_outlives_an_upstream_that_is_down(
    answer: tuple[int, object] | Exception,
) -> None:
    """F46: without network the list of the last run serves."""
    bench = Bench(answer, store=Store(stored(a="1")))
    await bench.list.load()
    assert not await bench.list.refresh()
    assert bench.ids == ["v/a"]
    assert bench.holder.current.fetched_at == 500.0


async def test_an_outage_is_said_once_and_the_next_one_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    down = (500, "down")
    bench = Bench(OFFLINE, OFFLINE, down, down, listing(a="1"), down)
    said = []
    for _ in range(6):
        await bench.list.refresh()
        said.append(len(caplog.records))
    assert said == [1, 1, 2, 2, 2, 3]


async def test_a_broken_database_costs_neither_list_nor_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(listing(a="1"))
    bench.store.is_broken = True
    await bench.list.load()
    assert await bench.list.refresh()
    assert bench.ids == ["v/a"]
    assert "cannot be read: disk I/O error" in caplog.text
    assert "cannot be stored: disk I/O error" in caplog.text


async def test_a_worker_that_does_not_fetch_takes_what_was_stored_since() -> None:
    store = Store(stored(at=1.0, a="1"))
    bench = Bench(OFFLINE, store=store)
    await bench.list.load()
    first = bench.holder.current
    await bench.list.load()
    assert bench.holder.current is first
    store.stored = stored(at=2.0, b="1")
    await bench.list.load()
    assert bench.ids == ["v/b"]
    store.stored = Catalog()
    await bench.list.load()
    assert bench.ids == []


# --- prices that jump -----------------------------------------------------------------------------


async def test_a_price_that_jumps_is_taken_when_a_second_list_repeats_it() -> None:
    """F46: a price outside a factor of ten is quarantined; the list around it is not."""
    bench = Bench(listing(a="1", b="1"), listing(a="1000", b="2"), listing(a="1000", b="2"))
    await bench.list.refresh()
    await bench.list.refresh()
    assert (bench.price("v/a"), bench.price("v/b")) == ("1", "2")
    raw = bench.store.stored.models[0].raw
    assert raw["pricing"] == {"prompt": "1", "completion": "1"}
    await bench.list.refresh()
    assert bench.price("v/a") == "1000"


async def test_a_jump_that_goes_away_again_is_forgotten() -> None:
    bench = Bench(listing(a="1"), listing(a="99"), listing(a="2"), listing(a="99"))
    for _ in range(4):
        await bench.list.refresh()
    assert bench.price("v/a") == "2"


async def test_a_jump_must_be_repeated_exactly() -> None:
    bench = Bench(listing(a="1"), listing(a="99"), listing(a="98"))
    for _ in range(3):
        await bench.list.refresh()
    assert bench.price("v/a") == "1"


async def test_a_quarantined_price_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(listing(a="1"), listing(a="0"))
    await bench.list.refresh()
    await bench.list.refresh()
    assert "v/a: a price more than 10 times off" in caplog.text


# --- models that are gone -------------------------------------------------------------------------


def gone_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "listed" in r.getMessage()]


async def test_gone_models_are_said_once_and_again_when_they_change(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench(
        listing(glm1="1"),
        listing(glm1="1"),
        listing(glm2="1"),
        listing(glm2="1", glm="1"),
        models=("v/glm", "v/glm1"),
    )
    said = []
    for _ in range(4):
        await bench.list.refresh()
        said.append(len(gone_lines(caplog)))
    assert said == [1, 1, 2, 3]
    assert gone_lines(caplog)[0].endswith("left out of chains: v/glm (near: v/glm1)")
    assert "v/glm (near: v/glm2); v/glm1 (near: v/glm2)" in gone_lines(caplog)[1]
    assert "v/glm1 (near: v/glm" in gone_lines(caplog)[2]


async def test_a_classifier_that_is_gone_is_said_as_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(listing(a="1"), listing(a="1"), classifiers=("v/small",))
    await bench.list.refresh()
    await bench.list.refresh()
    assert [record.getMessage() for record in caplog.records] == [
        "no longer listed upstream and left out of chains: v/small",
        "v/small was to classify, so prompts are decided without it",
    ]


async def test_it_is_said_when_nothing_is_gone_any_more(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench(listing(zzz="1"), listing(a="1"))
    await bench.list.refresh()
    await bench.list.refresh()
    assert [line.rpartition(": ")[2] for line in gone_lines(caplog)] == [
        "v/a",
        "every configured model is listed again",
    ]


async def test_with_every_model_listed_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await Bench(listing(a="1")).list.refresh()
    assert gone_lines(caplog) == []


# --- in the background ----------------------------------------------------------------------------


async def test_the_stored_list_serves_at_once_and_a_fresh_one_follows() -> None:
    bench = Bench(listing(b="1"), store=Store(stored(a="1")))
    async with bench.list.kept_fresh():
        assert bench.ids == ["v/a"]
        assert await bench.sleeps.get() == HOUR
        assert bench.ids == ["v/b"]


async def test_a_failed_fetch_is_repeated_soon_and_a_good_one_every_hour() -> None:
    bench = Bench(OFFLINE, RuntimeError("a bug"), listing(a="1"))
    async with bench.list.kept_fresh():
        delays = []
        for _ in range(4):
            delays.append(await bench.sleeps.get())
            bench.wakes.put_nowait(None)
    assert delays == [60, 60, HOUR, HOUR]
    assert bench.ids == ["v/a"]


async def test_leaving_stops_the_fetching() -> None:
    bench = Bench(listing(a="1"))
    async with bench.list.kept_fresh():
        await bench.sleeps.get()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "model-list"]


# --- over a real connection -----------------------------------------------------------------------


async def test_a_whole_list_comes_over_the_wire() -> None:
    holder, clock = CatalogHolder(), Clock()
    async with (
        running_upstream(gone=["openrouter/aurora-alpha"]) as demo,
        open_pool(DeadlineSettings(), demo.url) as session,
    ):
        client = UpstreamClient(session, UpstreamSettings(base_url=demo.url))
        models = ModelList(client, holder, Store(), config("z-ai/glm-5"), clock, refresh_s=HOUR)
        assert await models.refresh()
    glm = holder.current.get("z-ai/glm-5")
    assert glm is not None
    assert glm.context_length
    assert "tools" in glm.supported_parameters
    assert cost_of(Usage(1_000_000, 0), glm.pricing, now=0.0).nanousd == 600_000_000
    assert holder.current.is_gone("openrouter/aurora-alpha")


async def test_an_upstream_that_is_not_there_is_asked_again_soon() -> None:
    holder, clock = CatalogHolder(), Clock()
    async with running_upstream() as demo:
        url = demo.url
    async with open_pool(DeadlineSettings(), url) as session:
        client = UpstreamClient(session, UpstreamSettings(base_url=url))
        models = ModelList(client, holder, Store(), config("v/a"), clock, refresh_s=HOUR)
        assert not await models.refresh()
    assert not holder.current
