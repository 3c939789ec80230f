"""Which database a command looks into."""

import argparse
from pathlib import Path

from llm_router.cli.options import load, settings_options

# A person waits longer for a report than a dashboard does.
READ_LIMIT_S = 120.0


def ledger_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--db", type=Path, metavar="PATH", help="the database (default: [ledger] path)"
    )
    settings_options(parser)


def ledger_path(args: argparse.Namespace) -> Path:
    """Return the database; with --db no settings are read."""
    given: Path | None = args.db
    return given if given is not None else load(args).settings.ledger.path
