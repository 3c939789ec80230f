"""Which database a command looks into."""

import argparse
from pathlib import Path

from llm_router.cli import load, settings_options
from llm_router.errors import SettingsError
from llm_router.ledger.period import Period, parse_moment

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


def period(since: str | None, until: str | None, now: float) -> Period:
    """Read --since and --until."""
    return Period(moment("--since", since, now), moment("--until", until, now))


def moment(option: str, text: str | None, now: float) -> str | None:
    if text is None:
        return None
    try:
        return parse_moment(text, now)
    except ValueError as exc:
        raise SettingsError(f"{option}: {exc}") from exc
