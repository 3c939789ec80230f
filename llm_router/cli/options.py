"""Options that several commands have, and the settings that they lead to."""

import argparse
import sys
from pathlib import Path
from typing import Any

from llm_router import settings_load
from llm_router.cli.arguments import whole
from llm_router.settings_load import Loaded


def settings_options(parser: argparse.ArgumentParser) -> None:
    """Add --config and --env-file, which `load` reads."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings file (default: config.toml, if any)"
    )
    parser.add_argument(
        "--env-file", type=Path, metavar="FILE", help="environment file (default: .env, if any)"
    )


def address_options(parser: argparse.ArgumentParser) -> None:
    """Add --host and --port, which `load` puts above every other source."""
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=whole(0, 65_535), help="TCP port; 0 takes any free one (default: 3456)"
    )


def json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def load(args: argparse.Namespace, *, is_quiet: bool = False, **sources: Any) -> Loaded:
    """Load settings as the arguments say; what is doubtful about them goes to stderr.

    `is_quiet` leaves that to the caller; `sources` is passed on to `settings_load.load`.
    """
    options = {
        f"server.{name}": value
        for name in ("host", "port")
        if (value := getattr(args, name, None)) is not None
    }
    loaded = settings_load.load(
        config_file=getattr(args, "config", None),
        env_file=getattr(args, "env_file", None),
        options=options,
        **sources,
    )
    for warning in () if is_quiet else loaded.warnings:
        sys.stderr.write(f"llm-router: warning: {warning}\n")
    return loaded
