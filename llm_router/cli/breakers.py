"""Which models and gates are shut out, until when and why; and letting them in again.

    llm-router breakers                  what the database knows
    llm-router breakers reset MODEL      an alias or a full id; all for every model and gate

A reset goes through the running server and is in force at once; without one it is written for
the next start.
"""

import argparse
import asyncio
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from llm_router import platform
from llm_router.cli import load, print_table, write_json
from llm_router.cli.ledger_file import ledger_options
from llm_router.cli.server import ask, server_url
from llm_router.clock import SystemClock
from llm_router.errors import NotFound
from llm_router.ledger.entry import BreakerChanged
from llm_router.ledger.ingest import Ingestor
from llm_router.routing.breaker import ALL, Breakers
from llm_router.routing.names import near, safe
from llm_router.routing.snapshot import BreakerView, view_of_row
from llm_router.settings_load import Loaded
from llm_router.storage.breakers import Transition, transitions, write_changes
from llm_router.storage.breakers import load as load_rows
from llm_router.storage.config import current as stored_config
from llm_router.storage.ledger import SqliteLedger
from llm_router.storage.lock import journal_folder
from llm_router.storage.sqlite import open_database, open_reader

_COLOURS = {"closed": "green", "half_open": "yellow", "open": "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=("reset",), help="let a model in again")
    parser.add_argument("model", nargs="?", help="an alias, a full id, a gate, or all")
    parser.add_argument("--json", action="store_true", help="print JSON")
    ledger_options(parser)
    parser.set_defaults(wrong_usage=parser.error)


def run(args: argparse.Namespace) -> int:
    if args.action and not args.model:
        args.wrong_usage("reset needs the name of a model, or all")
    loaded = load(args)
    path = args.db or loaded.settings.ledger.path
    return _reset(loaded, path, args) if args.action else _list(path, args.json)


def _list(path: Path, is_json: bool) -> int:
    views, moves = asyncio.run(_read(path)) if path.exists() else ([], [])
    if is_json:
        write_json(
            {
                "breakers": [view.as_dict() for view in views if not view.is_gate],
                "gates": [view.as_dict() for view in views if view.is_gate],
                "transitions": [move.as_dict() for move in moves],
            }
        )
    elif views:
        print_table(_table(views))
    else:
        sys.stdout.write("nothing has ever been shut out\n")
    return 0


async def _read(path: Path) -> tuple[list[BreakerView], list[Transition]]:
    async with open_reader(path) as reader:
        wall = time.time()
        views = [view_of_row(row, wall) for row in await load_rows(reader)]
        return views, await transitions(reader)


def _table(views: list[BreakerView]) -> Table:
    table = Table("model or gate", "state", "since", "until", "cools down until", box=SIMPLE)
    table.add_column("why", overflow="fold")
    for view in views:
        facts = view.as_dict()
        table.add_row(
            escape(view.subject),
            f"[{_COLOURS[view.state]}]{view.state}[/]",
            *(escape(facts[key] or "") for key in ("since", "until", "cooldown_until", "reason")),
        )
    return table


def _reset(loaded: Loaded, path: Path, args: argparse.Namespace) -> int:
    if url := server_url(path):
        where = f"/circuit-breaker/reset/{quote(args.model, safe='')}"
        answer = ask(loaded.settings, url, "POST", where)
    else:
        answer = asyncio.run(_reset_rows(loaded, path, args.model))
    if args.json:
        write_json(answer)
    else:
        names = ", ".join(answer["cleared"])
        nothing = "nothing was shut out" if answer["reset"] == ALL else "it was not shut out"
        sys.stdout.write(f"let in again: {names}\n" if names else f"{nothing}\n")
    return 0


async def _reset_rows(loaded: Loaded, path: Path, name: str) -> dict[str, Any]:
    """Do what the server would: take up the rows, reset, and write what changed."""
    changes: list[BreakerChanged] = []
    clock = SystemClock()
    breakers = Breakers(
        loaded.settings.breaker, clock, changes.append, lease_s=0, boot_id=platform.boot_id()
    )
    async with open_database(path) as database:
        # What a server that died has left in its journal would undo the reset at the next start.
        await Ingestor(SqliteLedger(database), journal_folder(path), clock).recover()
        rows = await load_rows(database)
        config = await stored_config(database) or loaded.seed
        known = {row.subject for row in rows} | config.model_ids() | {ALL}
        subject = config.model_id(name)
        if subject not in known:
            raise NotFound(
                f"no model {safe(name)} has been called or configured{near(name, known)}"
            )
        breakers.restore(rows)
        shut = {view.subject for view in breakers.views() if not view.is_clear}
        breakers.reset(subject)
        await database.transact(partial(write_changes, changes=changes))
    return {"reset": subject, "cleared": sorted(shut if subject == ALL else shut & {subject})}
