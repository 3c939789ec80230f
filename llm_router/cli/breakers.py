"""Which models and gates are shut out, until when and why; letting them in, or holding them out.

    llm-router breakers                     what the database knows
    llm-router breakers reset MODEL         an alias or a full id; all for every model and gate
    llm-router breakers force MODEL open    nobody is let in, whatever comes (closed: everybody,
                                            off: the breaker decides again)

A reset and a forced state go through the running server and are in force at once; without one they
are written for the next start.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from urllib.parse import quote

from rich.markup import escape
from rich.table import Table

from llm_router.cli import offline_breakers
from llm_router.cli.ledger_file import ledger_options
from llm_router.cli.options import json_option, load
from llm_router.cli.output import (
    add_facts,
    add_texts,
    brief_time,
    new_table,
    print_table,
    write_json,
)
from llm_router.cli.server import ask, server_url
from llm_router.clock import utc_text
from llm_router.routing.gate_state import Forced
from llm_router.routing.gates import ALL
from llm_router.routing.snapshot import GATE, BreakerView, listed, view_of_row
from llm_router.settings_load import Loaded
from llm_router.storage.breakers import Transition, transitions
from llm_router.storage.breakers import load as load_rows
from llm_router.storage.sqlite import open_reader

_COLOURS = {"closed": "green", "half_open": "yellow", "open": "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    actions = "reset: let a model in again; force: hold its breaker at a state"
    parser.add_argument("action", nargs="?", choices=("reset", "force"), help=actions)
    parser.add_argument(
        "model", nargs="?", help="an alias or a full id; to reset also a gate, or all"
    )
    states = "for force: open (nobody passes), closed (everybody does), off"
    parser.add_argument("state", nargs="?", choices=("open", "closed", "off"), help=states)
    json_option(parser)
    ledger_options(parser)
    parser.set_defaults(wrong_usage=parser.error)


def run(args: argparse.Namespace) -> int:
    if args.action == "reset" and not args.model:
        args.wrong_usage("reset needs the name of a model, or all")
    if (args.action == "force") != (args.state is not None):
        args.wrong_usage("force needs the name of a model, and open, closed or off")
    if args.action == "force" and (args.model == ALL or args.model.startswith(GATE)):
        args.wrong_usage("force holds one model; gates, and all, can be reset")
    loaded = load(args)
    path = args.db or loaded.settings.ledger.path
    if args.action == "reset":
        return _reset(loaded, path, args)
    if args.action == "force":
        return _force(loaded, path, args)
    if args.db is None and not path.exists():
        sys.stderr.write(f"llm-router: there is no database {path} yet\n")
        return _list(None, args.json)
    return _list(path, args.json)


def _list(path: Path | None, is_json: bool) -> int:
    views, moves = asyncio.run(_read(path)) if path else ([], [])
    if is_json:
        write_json({**listed(views), "transitions": [move.as_dict() for move in moves]})
    elif views:
        print_table(_table(views, utc_text(time.time())))
    else:
        sys.stdout.write("nothing has ever been shut out\n")
    return 0


async def _read(path: Path) -> tuple[list[BreakerView], list[Transition]]:
    async with open_reader(path) as reader:
        wall = time.time()
        views = [view_of_row(row, wall) for row in await load_rows(reader)]
        return views, await transitions(reader)


def _table(views: list[BreakerView], now: str) -> Table:
    table = new_table()
    add_texts(table, "model or gate")
    add_facts(table, "state", "since", "until", "cools until")
    add_texts(table, "why")
    for view in views:
        facts = view.as_dict()
        table.add_row(
            escape(view.subject),
            f"[{_COLOURS[view.state]}]{view.state}[/]{' (forced)' if view.forced else ''}",
            *(brief_time(facts[key], now) for key in ("since", "until", "cooldown_until")),
            escape(facts["reason"] or ""),
        )
    return table


def _reset(loaded: Loaded, path: Path, args: argparse.Namespace) -> int:
    if url := server_url(path):
        where = f"/circuit-breaker/reset/{quote(args.model, safe='')}"
        answer = ask(loaded.settings, url, "POST", where)
    else:
        answer = asyncio.run(offline_breakers.reset(loaded, path, args.model))
    if args.json:
        write_json(answer)
    else:
        names = ", ".join(answer["cleared"])
        nothing = "nothing was" if answer["reset"] == ALL else f"{answer['reset']} was not"
        sys.stdout.write(f"let in again: {names}\n" if names else f"{nothing} shut out\n")
    return 0


def _force(loaded: Loaded, path: Path, args: argparse.Namespace) -> int:
    to: Forced | None = None if args.state == "off" else args.state
    if url := server_url(path):
        where = f"/circuit-breaker/force/{quote(args.model, safe='')}"
        answer = ask(loaded.settings, url, "POST", where, {"state": args.state})
    else:
        answer = asyncio.run(offline_breakers.force(loaded, path, args.model, to))
    if args.json:
        write_json(answer)
    else:
        state = f"is forced {to}" if to else "is left to itself"
        sys.stdout.write(f"{answer['model']} {state}\n")
    return 0
