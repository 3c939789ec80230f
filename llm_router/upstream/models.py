"""Keeping the provider's model list: from the database at once, from the provider every hour.

Traffic never waits for it and never stops for lack of it. A list that was fetched once outlives
every later answer that is no list.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol

from llm_router.clock import Clock
from llm_router.errors import StorageError, UpstreamError
from llm_router.ledger.pricing import is_implausible
from llm_router.routing.catalog import Catalog, CatalogHolder, ModelInfo, read_models
from llm_router.routing.config import ConfigHolder
from llm_router.tasks import beside

log = logging.getLogger(__name__)

TIMEOUT_S = 30.0
RETRY_S = 60.0  # after a fetch that failed
# Without it only models that write text are listed, and the others would look gone.
# https://openrouter.ai/docs/api_reference/models
_EVERY_MODEL = {"output_modalities": "all"}


class ModelClient(Protocol):
    async def get_json(
        self, path: str, params: Mapping[str, str] | None = None, *, timeout_s: float
    ) -> tuple[int, Any]:
        """Return status and decoded body (None where it is no JSON). Raises UpstreamError."""


class ModelStore(Protocol):
    """What outlives the process; each method may raise StorageError."""

    async def fetched_at(self) -> float | None: ...
    async def load(self) -> Catalog: ...
    async def save(self, catalog: Catalog) -> None: ...


class ModelList:
    """Puts the latest list into `holder` and says which configured models are gone from it."""

    def __init__(
        self,
        client: ModelClient,
        holder: CatalogHolder,
        store: ModelStore,
        config: ConfigHolder,
        clock: Clock,
        *,
        refresh_s: float,
        classifiers: Collection[str] = (),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`classifiers` are ids or aliases that are called although no chain need name them."""
        self._client = client
        self._holder = holder
        self._store = store
        self._config = config
        self._clock = clock
        self._refresh_s = refresh_s
        self._classifiers = tuple(classifiers)
        self._sleep = sleep
        self._is_fetched = False  # by this process, so surely from this upstream
        self._doubted: dict[str, Mapping[str, object]] = {}
        self._said_gone: frozenset[str] = frozenset()
        self._said_why = ""

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Load the stored list, then fetch in the background for as long as the block runs."""
        await self.load()
        async with beside(self._keep_fresh(), name="model-list"):
            yield

    async def load(self) -> None:
        """Take the stored list if ours is another; at the start, and where nobody fetches."""
        try:
            if await self._store.fetched_at() == self._holder.current.fetched_at:
                return
            self._holder.current = await self._store.load()
        except StorageError as exc:
            log.warning("the stored model list cannot be read: %s", exc)
            return
        self._say_what_is_gone()

    async def refresh(self) -> bool:
        """Fetch the list once; False if that should be tried again soon."""
        try:
            status, body = await self._client.get_json("models", _EVERY_MODEL, timeout_s=TIMEOUT_S)
        except UpstreamError as exc:
            return self._failed(f"the model list cannot be fetched: {exc}")
        models = read_models(body) if status == 200 else ()
        if models:
            self._is_fetched = True
            plausible = self._with_plausible_prices(models)
            await self._put(Catalog(plausible, fetched_at=self._clock.wall()))
            return True
        if not self._is_fetched and (status == 404 or (status, body) == (200, {})):
            # This upstream has no list, so a stored one must be another upstream's.
            await self._put(Catalog())
            return True
        return self._failed(
            f"the answer to GET /models (status {status}) is no list; keeping the last one"
        )

    def _failed(self, why: str) -> bool:
        """Say once, not at every try, why there is no new list."""
        if why != self._said_why:
            log.warning("%s", why)
            self._said_why = why
        return False

    async def _keep_fresh(self) -> None:
        while True:
            try:
                is_fresh = await self.refresh()
            except Exception:
                log.exception("refreshing the model list failed")
                is_fresh = False
            await self._sleep(self._refresh_s if is_fresh else min(self._refresh_s, RETRY_S))

    async def _put(self, catalog: Catalog) -> None:
        self._said_why = ""
        self._holder.current = catalog
        try:
            await self._store.save(catalog)
        except StorageError as exc:
            log.warning("the model list cannot be stored: %s", exc)
        # Looking for similar names takes as long as reading the list; others are served between.
        self._say_what_is_gone()

    def _with_plausible_prices(self, listed: Sequence[ModelInfo]) -> list[ModelInfo]:
        """Keep the old price of a model whose new one is doubtful."""
        known = {model.id: model for model in self._holder.current.models}
        doubted = {
            model.id: model.pricing
            for model in listed
            if model.id in known and self._is_doubtful(known[model.id], model)
        }
        for id_, pricing in doubted.items():
            log.warning("%s: a price more than 10 times off is not taken yet: %s", id_, pricing)
        self._doubted = doubted
        return [
            _with_price(model, known[model.id].pricing) if model.id in doubted else model
            for model in listed
        ]

    def _is_doubtful(self, old: ModelInfo, new: ModelInfo) -> bool:
        """An implausible price is doubtful until the next list says the same."""
        return is_implausible(old.pricing, new.pricing) and self._doubted.get(new.id) != new.pricing

    def _say_what_is_gone(self) -> None:
        """Log the configured models that are gone, once for each set of them."""
        config = self._config.current
        gone = self._holder.current.gone(config.model_ids(*self._classifiers))
        if gone.keys() == self._said_gone:
            return
        self._said_gone = frozenset(gone)
        if not gone:
            log.info("every configured model is listed again")
            return
        words = [f"{id_} (near: {', '.join(near)})" if near else id_ for id_, near in gone.items()]
        log.warning("no longer listed upstream and left out of chains: %s", "; ".join(words))
        for id_ in map(config.model_id, self._classifiers):
            if id_ in gone:
                log.warning("%s was to classify, so prompts are decided without it", id_)


def _with_price(model: ModelInfo, pricing: Mapping[str, object]) -> ModelInfo:
    return replace(model, pricing=pricing, raw={**model.raw, "pricing": pricing})
