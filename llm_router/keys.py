"""Typed keys for what lives on the application and on a request."""

from typing import TYPE_CHECKING

from aiohttp import web

from llm_router.clock import Clock
from llm_router.routing.config import ConfigHolder
from llm_router.settings import Settings

if TYPE_CHECKING:
    from llm_router.classify.base import Classifier
    from llm_router.classify.shadow import Shadow
    from llm_router.ledger.ingest import Ingestor
    from llm_router.ledger.journal import Journal
    from llm_router.proxy.exchange import Exchange
    from llm_router.proxy.in_flight import InFlight
    from llm_router.proxy.sessions import Sessions
    from llm_router.routing.breaker import Breakers
    from llm_router.routing.catalog import CatalogHolder
    from llm_router.storage.config import ConfigStore
    from llm_router.storage.sqlite import Database
    from llm_router.upstream.client import UpstreamClient
    from llm_router.web.access import Access
    from llm_router.web.answers import Answers
    from llm_router.web.lifecycle import Lifecycle
    from llm_router.web.routes import Scope

SETTINGS = web.AppKey("settings", Settings)
CLOCK: web.AppKey[Clock] = web.AppKey("clock")
CONFIG = web.AppKey("config", ConfigHolder)
DATABASE: web.AppKey["Database"] = web.AppKey("database")
CONFIG_STORE: web.AppKey["ConfigStore"] = web.AppKey("config_store")
JOURNAL: web.AppKey["Journal"] = web.AppKey("journal")
INGESTOR: web.AppKey["Ingestor"] = web.AppKey("ingestor")
BREAKERS: web.AppKey["Breakers"] = web.AppKey("breakers")
CATALOG: web.AppKey["CatalogHolder"] = web.AppKey("catalog")
CLASSIFIER: web.AppKey["Classifier"] = web.AppKey("classifier")
SESSIONS: web.AppKey["Sessions | None"] = web.AppKey("sessions")
SHADOW: web.AppKey["Shadow | None"] = web.AppKey("shadow")
UPSTREAM: web.AppKey["UpstreamClient"] = web.AppKey("upstream")
ACCESS: web.AppKey["Access"] = web.AppKey("access")
SCOPES: web.AppKey["dict[web.AbstractRoute, Scope]"] = web.AppKey("scopes")
LIFECYCLE: web.AppKey["Lifecycle"] = web.AppKey("lifecycle")
ANSWERS: web.AppKey["Answers"] = web.AppKey("answers")
IN_FLIGHT: web.AppKey["InFlight"] = web.AppKey("in_flight")

REQUEST_ID = web.RequestKey("request_id", str)
CLIENT_KEY: web.RequestKey[str | None] = web.RequestKey("client_key")
EXCHANGE: web.RequestKey["Exchange"] = web.RequestKey("exchange")
