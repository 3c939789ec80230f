"""GET /v1/models: the names that a chat call accepts, and nothing that it would refuse.

Listed are `router`, every category and, while models may be named directly, the aliases. A
model's own id can be looked up but is not listed: hundreds of them would bury the rest.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web

from llm_router.errors import ModelNotFound
from llm_router.keys import CATALOG, CONFIG, SETTINGS
from llm_router.routing.catalog import Catalog
from llm_router.routing.config import Category, RoutingConfig
from llm_router.routing.names import safe
from llm_router.routing.near import did_you_mean
from llm_router.routing.resolve import Classify, Forced, resolve
from llm_router.web.model_entry import Offer, model_entry
from llm_router.web.responses import json_answer
from llm_router.web.routes import Route, Scope

ROUTER = "router"


async def list_models(request: web.Request) -> web.Response:
    menu = _Menu(request.app)
    data = [menu.entry(offer) for offer in menu.offers()]
    return json_answer(
        {"object": "list", "data": data, "total_count": len(data), "links": {"next": None}}
    )


async def get_model(request: web.Request) -> web.Response:
    menu = _Menu(request.app)
    return json_answer(menu.entry(menu.offer(request.match_info["id"])))


class _Menu:
    """What can be ordered now: one configuration and one model list."""

    def __init__(self, app: web.Application) -> None:
        self._config: RoutingConfig = app[CONFIG].current
        self._catalog: Catalog = app[CATALOG].current
        self._is_direct = app[SETTINGS].models.direct

    def offers(self) -> Iterator[Offer]:
        """Yield what is worth listing; a name behind which every model is gone is not."""
        yield self._router(ROUTER)
        offers = [self._category(category) for category in self._config.categories.values()]
        if self._is_direct:
            offers += [self._model(*alias) for alias in self._config.aliases.items()]
        yield from (offer for offer in offers if offer.model_ids)

    def offer(self, name: str) -> Offer:
        """Return what a name stands for, listed or not. Raises ModelNotFound with near names."""
        wanted = resolve(name, None, self._config, self._catalog, self._is_direct)
        if isinstance(wanted, Classify):
            return self._router(name)
        if isinstance(wanted, Forced):
            offer = self._category(self._config.categories[wanted.category])
        else:
            offer = self._model(name, wanted.model_id)
        if not offer.model_ids:
            raise self._gone(offer)
        return offer

    def entry(self, offer: Offer) -> dict[str, Any]:
        models = [m for id_ in offer.model_ids if (m := self._catalog.get(id_)) is not None]
        pricing = self._catalog.pricing(offer.priced_as) if offer.priced_as else None
        return model_entry(offer, models, pricing)

    def _router(self, name: str) -> Offer:
        description = "Finds out what kind of prompt it is and asks the best model for that kind."
        chains = (self._chain(category) for category in self._config.categories.values())
        return Offer(name, "Router", description, tuple(id_ for chain in chains for id_ in chain))

    def _category(self, category: Category) -> Offer:
        chain = self._chain(category)
        description = category.description.rstrip(".") or f"Prompts of the kind {category.name}"
        return Offer(
            f"{ROUTER}/{category.name}",
            f"Router: {category.name}",
            f"{description}. Asks {', then '.join(chain)}.",
            chain,
            priced_as=chain[0] if chain else None,
        )

    def _model(self, name: str, model_id: str) -> Offer:
        model = self._catalog.get(model_id)
        title = model.name if model else model_id
        description = model.raw.get("description") if model else None
        return Offer(
            name,
            title,
            description if isinstance(description, str) else title,
            self._listed((model_id,)),
            priced_as=model_id,
            owner=model_id.partition("/")[0],
        )

    def _chain(self, category: Category) -> tuple[str, ...]:
        return self._listed(map(self._config.model_id, category.models))

    def _listed(self, model_ids: Iterable[str]) -> tuple[str, ...]:
        return tuple(id_ for id_ in model_ids if not self._catalog.is_gone(id_))

    def _gone(self, offer: Offer) -> ModelNotFound:
        near = self._catalog.near(offer.priced_as or offer.id)
        return ModelNotFound(
            f"OpenRouter no longer lists what {safe(offer.id)} stands for.{did_you_mean(near)}",
            param="model",
            metadata={"near": list(near)},
        )


ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/models", list_models, Scope.CLIENT),
    Route("GET", "/models", list_models, Scope.CLIENT),
    Route("GET", "/v1/models/{id:.+}", get_model, Scope.CLIENT),
    Route("GET", "/models/{id:.+}", get_model, Scope.CLIENT),
)
