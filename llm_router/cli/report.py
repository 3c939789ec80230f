"""What it cost: tables by day, model, category, key or provider.

Per model and provider every call to it counts, also failed ones and those of classifiers; in the
other tables the requests count. Works while a server runs.

  llm-router report --since 7d
  llm-router report --by model --since 2026-01-01 --format csv > january.csv
"""

import argparse
import asyncio
import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from llm_router.cli.arguments import moment
from llm_router.cli.ledger_file import READ_LIMIT_S, ledger_options, ledger_path
from llm_router.cli.output import add_numbers, add_texts, new_table, print_table, write_json
from llm_router.ledger.period import Period
from llm_router.ledger.report import Group, csv_cell, is_over_attempts, printable, usd
from llm_router.storage.reports import report
from llm_router.storage.sqlite import open_reader

TABLES = ("day", "model", "category", "key", "provider")
_DEFAULT = "day,model,category"
_COUNTS = ("completed", "failed", "prompt_tokens", "completion_tokens")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--by",
        type=_tables,
        default=_DEFAULT,
        metavar="WHAT",
        help=f"one or several of {', '.join(TABLES)}, with commas (default: {_DEFAULT})",
    )
    parser.add_argument(
        "--since", type=moment, metavar="TIME", help="from here on: 2026-01-31, 24h, 7d, …"
    )
    parser.add_argument("--until", type=moment, metavar="TIME", help="up to here")
    parser.add_argument(
        "--format", choices=("table", "csv", "json"), default="table", help="default: table"
    )
    parser.add_argument(
        "--json", dest="format", action="store_const", const="json", help="same as --format json"
    )
    ledger_options(parser)
    parser.set_defaults(wrong_usage=parser.error)


def run(args: argparse.Namespace) -> int:
    span = Period(args.since, args.until)
    if span.is_empty:
        args.wrong_usage(f"--since ({span.since}) must lie before --until ({span.until})")
    tables = asyncio.run(_read(ledger_path(args), span, args.by))
    if args.format == "json":
        write_json(
            {
                "since": span.since,
                "until": span.until,
                "tables": {by: [group.as_json() for group in tables[by]] for by in tables},
            }
        )
    elif args.format == "csv":
        _write_csv(tables)
    elif not any(tables.values()):
        sys.stdout.write("no requests yet\n" if span == Period() else "no requests in that time\n")
    else:
        for by, groups in tables.items():
            print_table(_table(by, groups))
    return 0


def _tables(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in TABLES:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(TABLES)}")
    if not names:
        raise argparse.ArgumentTypeError(f"one or several of {', '.join(TABLES)} are needed")
    return list(dict.fromkeys(names))


async def _read(path: Path, span: Period, names: Sequence[str]) -> dict[str, list[Group]]:
    async with open_reader(path, limit_s=READ_LIMIT_S) as reader:
        return {name: await report(reader, span, (name,)) for name in names}


def _numbers(by: str, group: Group) -> list[float]:
    """Return the columns after the name: how many, how they ended, tokens, USD, unknown."""
    rows = "attempts" if is_over_attempts((by,)) else "requests"
    counts = [group.counts[name] for name in (rows, *_COUNTS)]
    return [*counts, usd(group.cost_nanousd), group.cost_unknown]


def _write_csv(tables: Mapping[str, list[Group]]) -> None:
    """Write one flat table, so that one file holds whatever was asked for."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("by", "name", "count", *_COUNTS, "cost_usd", "cost_unknown"))
    for by, groups in tables.items():
        for group in groups:
            writer.writerow([by, *map(csv_cell, (group.keys[by], *_numbers(by, group)))])


def _table(by: str, groups: list[Group]) -> Table:
    counted = "calls" if is_over_attempts((by,)) else "requests"
    table = new_table(f"Cost by {by}")
    add_texts(table, by)
    add_numbers(table, counted, "completed", "failed", "prompt", "completion", "USD", "unknown")
    rows = [_numbers(by, group) for group in groups]
    for group, numbers in zip(groups, rows, strict=True):
        table.add_row(escape(printable(group.keys[by])), *map(_number, numbers))
    if len(rows) > 1:
        table.add_section()
        table.add_row("total", *(_number(sum(column)) for column in zip(*rows, strict=True)))
    return table


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6f}"
