"""Take chat requests, route them to OpenRouter, keep the books.

Settings come from config.toml, .env and the environment; `llm-router check-config` shows them.
SIGTERM or Ctrl-C finishes what is in flight; a second one ends it at once. With several workers
([server] workers), SIGHUP reads the settings again and restarts them one by one; one alone goes on,
or finishes like that when its terminal closes.
"""

import argparse
import logging
import sys
from collections.abc import Iterable

from llm_router.cli.demo_ledger import set_aside
from llm_router.cli.options import address_options, load, settings_options
from llm_router.cli.seed import ignored
from llm_router.logs import set_up_logging
from llm_router.loop import run as run_loop
from llm_router.platform import forbid_core_dumps
from llm_router.routing.config import RoutingConfig
from llm_router.settings import Settings
from llm_router.settings_load import Loaded, check_start, require_api_key
from llm_router.upstream.origin import check_way
from llm_router.workers.run import serve

log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    address_options(parser)
    settings_options(parser)


def run(args: argparse.Namespace) -> int:
    forbid_core_dumps()
    loaded = _loaded(args)
    path = loaded.settings.ledger.path
    if aside := set_aside(path):
        sys.stdout.write(f"{path} was a demo's; it is {aside} now, and real books begin empty\n")
    set_up_logging(loaded.settings.log)
    _warn(loaded.warnings)
    _warn(ignored(loaded))

    def reload() -> tuple[Settings, RoutingConfig]:
        again = _loaded(args)
        _warn(again.warnings)
        return again.settings, again.seed

    run_loop(serve(loaded.settings, loaded.seed, _ready, reload))
    return 0


def _loaded(args: argparse.Namespace) -> Loaded:
    loaded = load(args, is_quiet=True)
    check_start(loaded.settings, loaded.sources)
    require_api_key(loaded.settings)
    check_way(loaded.settings.upstream.base_url)
    return loaded


def _warn(warnings: Iterable[str]) -> None:
    """Log them, for whoever reads the log as JSON can read nothing else."""
    for warning in warnings:
        log.warning(warning)


def _ready(url: str) -> None:
    sys.stdout.write(f"llm-router serves at {url}\n")
    sys.stdout.flush()
