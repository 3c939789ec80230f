"""Delete raw rows of the ledger that are older than --before, and keep what they add up to.

Without --before, `[ledger] retention_days` says what is old.

Totals, cost views, reports and metrics stay as they are. What is in flight or waits for its cost
stays too. The file does not shrink: SQLite uses the space for new rows.

A running server is the only writer of its database, so stop it first; or let it prune by itself
every day: `[ledger] retention_days`. With --dry-run nothing is written, and it may run on.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from llm_router.cli.arguments import moment
from llm_router.cli.ledger_file import READ_LIMIT_S, ledger_options, ledger_path
from llm_router.cli.options import json_option, load
from llm_router.cli.output import progress, write_json
from llm_router.errors import StorageError
from llm_router.storage.retention import Pruned, count_prunable, prune
from llm_router.storage.sqlite import open_database, open_reader, running_server


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--before",
        type=moment,
        metavar="TIME",
        help="90d, 2026-01-31, … (rows before that go; default: [ledger] retention_days ago)",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say how many rows would go")
    json_option(parser)
    ledger_options(parser)
    parser.set_defaults(wrong_usage=parser.error)


def run(args: argparse.Namespace) -> int:
    before, path = args.before or _retained_since(args), ledger_path(args)
    if args.dry_run:
        pruned = asyncio.run(_count(path, before))
    else:
        _check_is_free(path)
        pruned = asyncio.run(_prune(path, before))
    if args.json:
        write_json(
            {
                "before": before,
                "is_dry_run": args.dry_run,
                "requests": pruned.requests,
                "attempts": pruned.attempts,
            }
        )
    else:
        done = "would go" if args.dry_run else "are gone, their sums are kept"
        sys.stdout.write(
            f"{pruned.requests:,} requests and {pruned.attempts:,} calls from before {before} "
            f"{done}\n"
        )
    return 0


def _retained_since(args: argparse.Namespace) -> str:
    days = load(args).settings.ledger.retention_days
    if not days:
        args.wrong_usage("the settings keep rows for ever ([ledger] retention_days); say --before")
    return moment(f"{days}d")


async def _count(path: Path, before: str) -> Pruned:
    async with open_reader(path, limit_s=READ_LIMIT_S) as reader:
        return await count_prunable(reader, before)


def _check_is_free(path: Path) -> None:
    if not path.exists():
        raise StorageError(f"database {path} does not exist; there is nothing to prune")
    if (server := running_server(path)) is not None:
        raise StorageError(
            f"database {path} is being written by process {server.get('pid', '?')}; stop it and "
            "try again, or let it prune by itself with [ledger] retention_days"
        )


async def _prune(path: Path, before: str) -> Pruned:
    async with open_database(path) as database:
        with progress() as bar:
            task = bar.add_task("pruning", total=None)
            return await prune(
                database,
                before,
                lambda done: bar.update(task, description=f"{done.requests:,} requests pruned"),
            )
