"""The latest requests of the ledger, the newest last.

With --follow, each further request is printed when it ends, until Ctrl-C. Works while a server
runs. --json prints one line of JSON for each.

  llm-router requests -n 50 --outcome failed
  llm-router requests --follow --json | jq .cost_usd
"""

import argparse
import asyncio
import json
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from llm_router.cli.arguments import whole
from llm_router.cli.ledger_file import READ_LIMIT_S, ledger_options, ledger_path
from llm_router.ledger.entry import Outcome
from llm_router.ledger.report import ledger_row, printable
from llm_router.storage.requests import MAX_LIMIT, Filter, Tail, page
from llm_router.storage.sqlite import open_reader

EVERY_S = 0.5
_IN_FLIGHT = "in_flight"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-n",
        "--limit",
        type=whole(1, MAX_LIMIT),
        default=20,
        metavar="N",
        help=f"how many, at most {MAX_LIMIT} (default: 20)",
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on as requests end")
    parser.add_argument(
        "--outcome", choices=(*get_args(Outcome), _IN_FLIGHT), help="only those that ended so"
    )
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    ledger_options(parser)


def run(args: argparse.Namespace) -> int:
    asyncio.run(_print(ledger_path(args), args))
    return 0


async def _print(path: Path, args: argparse.Namespace) -> None:
    async with open_reader(path, limit_s=READ_LIMIT_S) as reader:
        tail = Tail(reader)
        await tail.start()
        rows, _ = await page(reader, Filter(outcome=args.outcome), limit=args.limit)
        for row in reversed(rows):
            _write(row, is_json=args.json)
        if args.follow:
            # One that ended between the two reads is in both.
            shown = {row["id"] for row in rows if row["outcome"] is not None}
            await _follow(tail, shown, args)


async def _follow(tail: Tail, shown: set[str], args: argparse.Namespace) -> None:
    while True:
        for row in await tail.ended():
            if row["id"] not in shown and args.outcome in (None, row["outcome"]):
                _write(row, is_json=args.json)
        sys.stdout.flush()
        await asyncio.sleep(EVERY_S)


def _write(row: sqlite3.Row, *, is_json: bool) -> None:
    shown = ledger_row(dict(row))
    shown.pop("rowid", None)
    line = json.dumps(shown, ensure_ascii=False) if is_json else _line(shown)
    sys.stdout.write(line + "\n")


def _line(row: Mapping[str, Any]) -> str:
    """Return one line for people: when, how it ended, what decided, who answered, what it cost."""
    cost = "cost unknown" if row["cost_usd"] is None else f"${row['cost_usd']:.6f}"
    duration = "" if row["total_ms"] is None else f"{row['total_ms']} ms"
    facts = (
        (row["started_at"], 24),
        (row["outcome"] or _IN_FLIGHT, 9),
        (f"{row['category'] or '-'}/{row['classifier'] or '-'}", 24),
        (row["served_model"] or row["requested_model"], 28),
        (f"{row['prompt_tokens'] or 0}+{row['completion_tokens'] or 0}", 11),
        (cost if row["outcome"] else "", 12),
        (duration, 9),
        (row["error_class"] or "", 0),
        (row["id"], 0),
    )
    return "  ".join(
        printable(value).ljust(width) for value, width in facts if value != "" or width
    )
