"""Typed keys for what lives on the application and on a request."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web

from llm_router.clock import Clock
from llm_router.load import Load
from llm_router.routing.config import ConfigHolder
from llm_router.settings import Settings

if TYPE_CHECKING:
    from llm_router.classify.base import Classifier
    from llm_router.classify.shadow import Shadow
    from llm_router.ledger.ingest import Rows
    from llm_router.ledger.journal import Journal
    from llm_router.link.client import Link
    from llm_router.link.server import Desk
    from llm_router.proxy.exchange import Exchange
    from llm_router.proxy.in_flight import InFlight
    from llm_router.proxy.sessions import Sessions
    from llm_router.routing.breaker import Breakers
    from llm_router.routing.catalog import CatalogHolder
    from llm_router.storage.config import ConfigVersions
    from llm_router.storage.follow import Marks
    from llm_router.storage.readable import Readable
    from llm_router.storage.sqlite import Database
    from llm_router.upstream.client import UpstreamClient
    from llm_router.watchdog import Watchdog
    from llm_router.web.access import Access
    from llm_router.web.answers import Answers
    from llm_router.web.chat import Chats
    from llm_router.web.lifecycle import Lifecycle
    from llm_router.web.routes import Scope

SETTINGS = web.AppKey("settings", Settings)
CLOCK: web.AppKey[Clock] = web.AppKey("clock")
CONFIG = web.AppKey("config", ConfigHolder)
DATABASE: web.AppKey["Readable"] = web.AppKey("database")
WRITER: web.AppKey["Database"] = web.AppKey("writer")
DESK: web.AppKey["Desk"] = web.AppKey("desk")
LINK: web.AppKey["Link"] = web.AppKey("link")
OTHERS: web.AppKey[Callable[[], Load]] = web.AppKey("others")
SEEN: web.AppKey["Callable[[Marks], None]"] = web.AppKey("seen")
CONFIG_STORE: web.AppKey["ConfigVersions"] = web.AppKey("config_store")
WATCHDOG: web.AppKey["Watchdog"] = web.AppKey("watchdog")
JOURNAL: web.AppKey["Journal"] = web.AppKey("journal")
INGESTOR: web.AppKey["Rows"] = web.AppKey("ingestor")
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
CHATS: web.AppKey["Chats"] = web.AppKey("chats")

REQUEST_ID = web.RequestKey("request_id", str)
CLIENT_KEY: web.RequestKey[str | None] = web.RequestKey("client_key")
EXCHANGE: web.RequestKey["Exchange"] = web.RequestKey("exchange")
