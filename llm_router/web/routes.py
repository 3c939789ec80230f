"""How a module of the HTTP edge declares its routes; an undeclared scope does not exist."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Scope(Enum):
    PUBLIC = "public"  # health and the front page
    CLIENT = "client"  # chat and the model list: a client key or the admin key
    ADMIN = "admin"  # everything else


@dataclass(frozen=True, slots=True)
class Route:
    """`path` is aiohttp's syntax; each web module lists its routes as `ROUTES`."""

    method: str
    path: str
    handler: Handler
    scope: Scope
