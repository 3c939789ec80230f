"""A classifier beside the server's, for `eval`: the same parts, nothing remembered, calls booked.

What it asks of OpenRouter costs money, so it keeps a journal like a serving process does. The one
that writes the database takes it in, now or at its next start.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from llm_router.classify.base import CallBook, FinishedCall
from llm_router.classify.build import build_classifier
from llm_router.classify.cache import DecisionCache
from llm_router.classify.evaluation import Result
from llm_router.classify.hybrid import HybridClassifier
from llm_router.classify.labelled import Labelled
from llm_router.classify.ollama import open_session
from llm_router.clock import SystemClock
from llm_router.ledger.cost import Cost
from llm_router.ledger.journal import Journal, open_journal
from llm_router.ledger.pricing import total_cost
from llm_router.proxy.classifier_book import ClassifierBook
from llm_router.proxy.exchange import Exchange
from llm_router.proxy.request_id import new_request_id
from llm_router.routing.catalog import Catalog, CatalogHolder
from llm_router.routing.config import ConfigHolder, RoutingConfig
from llm_router.settings import Settings
from llm_router.upstream.client import UpstreamClient
from llm_router.upstream.pool import open_pool

_MODES_THAT_PAY = ("api", "hybrid")
_POLL_S = 0.1


class Trial:
    """Decides labelled prompts one after another; `calls` and `cost` are OpenRouter's so far."""

    def __init__(
        self, classifier: HybridClassifier, config: RoutingConfig, journal: Journal | None
    ) -> None:
        self._classifier = classifier
        self._config = config
        self._journal = journal
        self._clock = SystemClock()
        self._costs: list[Cost] = []
        self.calls = 0

    @property
    def cost(self) -> Cost:
        return total_cost(self._costs)

    async def until_ready(self) -> None:
        """Load what the first decision would pay for; Ollama's model may take minutes."""
        await self._classifier.warm()
        steps = self._classifier.status
        while "loading" in steps()["steps"].values():  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(_POLL_S)

    async def run(self, given: Iterable[Labelled], done: Callable[[], None]) -> list[Result]:
        """Decide each; `done` is called after each."""
        results = []
        for one in given:
            results.append(await self._decide(one))
            done()
        return results

    async def _decide(self, given: Labelled) -> Result:
        book = _Book(self, self._journal, self._clock)
        started = time.perf_counter()
        decision = await self._classifier.decide(given.prompt(), self._config, book)
        elapsed_ms = 1000 * (time.perf_counter() - started)
        book.close()
        return Result(given, decision, elapsed_ms)

    def paid(self, cost: Cost) -> None:
        self._costs.append(cost)


class _Book:
    """Books a prompt's calls as `/route/explain` does: they belong to no request."""

    def __init__(self, trial: Trial, journal: Journal | None, clock: SystemClock) -> None:
        self._trial = trial
        self._journal = journal
        self._clock = clock
        self._exchange: Exchange | None = None
        self._book: CallBook | None = None

    def attempt_started(self, model: str) -> str:
        if self._book is None:
            assert self._journal is not None, "a mode that pays has a journal"
            self._exchange = Exchange(new_request_id(), self._journal, self._clock)
            self._book = ClassifierBook(self._exchange)
        self._trial.calls += 1
        return self._book.attempt_started(model)

    def attempt_finished(self, attempt_id: str, call: FinishedCall) -> None:
        assert self._book is not None, "it was started here"
        self._trial.paid(call.cost)
        self._book.attempt_finished(attempt_id, call)

    def close(self) -> None:
        """Have the calls so far in the journal; late ones follow by themselves."""
        if self._exchange is not None:
            self._exchange.finish("completed", None, None)


@asynccontextmanager
async def open_trial(
    settings: Settings, config: RoutingConfig, catalog: Catalog
) -> AsyncIterator[Trial]:
    """Build the classifier of `settings.classifier.mode`; its late calls are given up at the end.

    Raises SettingsError for a mode that there is not, StorageError without a place for a journal.
    """
    async with AsyncExitStack() as stack:
        journal = None
        if settings.classifier.mode in _MODES_THAT_PAY:
            journal = await stack.enter_async_context(open_journal(settings.ledger))
        pool = await stack.enter_async_context(
            open_pool(settings.deadlines, settings.upstream.base_url)
        )
        session = await stack.enter_async_context(
            open_session(settings.ollama.base_url, settings.deadlines)
        )
        clock = SystemClock()
        classifier = build_classifier(
            settings,
            clock,
            session,
            UpstreamClient(pool, settings.upstream),
            CatalogHolder(catalog),
            ConfigHolder(config),
            lambda _: False,
            cache=DecisionCache(clock, kept=0),
        )
        await classifier.start()
        stack.push_async_callback(classifier.close)
        yield Trial(classifier, config, journal)
