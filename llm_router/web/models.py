"""GET /v1/models: the names that a chat call accepts, and nothing that it would refuse.

Listed are `router`, every category and, while models may be named directly, the aliases. A
model's own id can be looked up but is not listed: hundreds of them would bury the rest.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from aiohttp import web

from llm_router.errors import ModelNotFound
from llm_router.keys import CATALOG, CONFIG, SETTINGS
from llm_router.routing.catalog import Catalog, near_names
from llm_router.routing.config import Category, RoutingConfig
from llm_router.web.model_entry import Offer, model_entry
from llm_router.web.routes import Route, Scope

ROUTER = "router"


async def list_models(request: web.Request) -> web.Response:
    menu = _Menu(request.app)
    data = [menu.entry(offer) for offer in menu.offers()]
    return _json(
        {"object": "list", "data": data, "total_count": len(data), "links": {"next": None}}
    )


async def get_model(request: web.Request) -> web.Response:
    menu = _Menu(request.app)
    return _json(menu.entry(menu.offer(request.match_info["id"])))


class _Menu:
    """What can be ordered now: one configuration and one model list."""

    def __init__(self, app: web.Application) -> None:
        self._config: RoutingConfig = app[CONFIG].current
        self._catalog: Catalog = app[CATALOG].current
        self._is_direct = app[SETTINGS].models.direct

    def offers(self) -> Iterator[Offer]:
        """Yield what is worth listing; a name behind which every model is gone is not."""
        categories = self._config.categories.values()
        yield self._router(ROUTER)
        yield from (o for category in categories if (o := self._category(category)).model_ids)
        if self._is_direct:
            for alias, model_id in self._config.aliases.items():
                if not self._catalog.is_gone(model_id):
                    yield self._model(alias, model_id)

    def offer(self, name: str) -> Offer:
        """Return what a name stands for, listed or not. Raises ModelNotFound with near names."""
        for offer in self.offers():
            if offer.id == name:
                return offer
        vendor, _, rest = name.partition("/")
        if name == "auto" or (vendor and rest == ROUTER):
            return self._router(name)
        is_id = self._is_direct and vendor not in ("", ROUTER) and rest
        if is_id and not self._catalog.is_gone(name):
            return self._model(name, name)
        raise self._not_found(name)

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
            (model_id,),
            priced_as=model_id,
            owner=model_id.partition("/")[0],
        )

    def _chain(self, category: Category) -> tuple[str, ...]:
        ids = (self._config.model_id(model) for model in category.models)
        return tuple(id_ for id_ in ids if not self._catalog.is_gone(id_))

    def _not_found(self, name: str) -> ModelNotFound:
        known = [offer.id for offer in self.offers()]
        if self._is_direct:
            known += (model.id for model in self._catalog.models)
        near = near_names(name, known)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        return ModelNotFound(
            f"The model {name[:128]!r} does not exist.{hint}",
            param="model",
            metadata={"near": list(near)},
        )


def _json(body: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")


ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/models", list_models, Scope.CLIENT),
    Route("GET", "/models", list_models, Scope.CLIENT),
    Route("GET", "/v1/models/{id:.+}", get_model, Scope.CLIENT),
    Route("GET", "/models/{id:.+}", get_model, Scope.CLIENT),
)
