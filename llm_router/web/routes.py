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

    @property
    def methods(self) -> tuple[str, ...]:
        """Uptime monitors and load balancers ask with HEAD."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)

    @property
    def paths(self) -> tuple[str, ...]:
        """Many a configured address ends with a slash too many, and a redirect would lose POSTs."""
        takes_slashes = self.path.endswith(("/", ":.+}"))
        return (self.path,) if takes_slashes else (self.path, self.path + "/")
