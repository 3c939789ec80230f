"""Serving as the settings say: in one process, or with several workers."""

from collections.abc import Callable

from llm_router import platform
from llm_router.imports import lean
from llm_router.routing.config import RoutingConfig
from llm_router.settings import Settings

Ready = Callable[[str], None]
Reload = Callable[[], tuple[Settings, RoutingConfig]]


async def serve(
    settings: Settings, seed: RoutingConfig, ready: Ready, reload: Reload | None = None
) -> None:
    """Serve until told to stop; `ready` gets the URL once requests are taken.

    `reload` reads the settings again when workers are to be restarted; it raises SettingsError.
    """
    wanted = settings.server.workers
    count = platform.cores() if wanted == "auto" else wanted
    # Neither needs what the other imports, and imports are most of a start.
    if count == 1:
        with lean():
            from llm_router.serving import serve as serve_alone

        await serve_alone(settings, seed, ready)
    else:
        with lean():
            from llm_router.workers.supervisor import supervise

        await supervise(settings, seed, count, ready, reload)
