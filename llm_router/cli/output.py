"""What commands print: JSON for scripts, tables and progress for people."""

import json
import sys
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.table import Table


def write_json(value: Any) -> None:
    """Print what `--json` promises: one document, readable by people too."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def new_table(title: str | None = None) -> Table:
    """Return a table without anything around it: a terminal of 80 columns is narrow enough."""
    return Table(
        title=title,
        title_justify="left",
        box=SIMPLE,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )


def add_texts(table: Table, *headings: str) -> None:
    """Add columns that give way when the terminal is narrow: their cells go on in the next line."""
    for heading in headings:
        table.add_column(heading, overflow="fold")


def add_facts(table: Table, *headings: str) -> None:
    """Add columns whose cells stay whole, like times and states."""
    for heading in headings:
        table.add_column(heading, no_wrap=True)


def add_numbers(table: Table, *headings: str) -> None:
    """Add columns whose cells stay whole, at the right: half an amount is a wrong one."""
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)


def brief_time(stamp: str | None, now: str) -> str:
    """Return a UTC time as people need it beside others: that of today without its date."""
    if stamp is None:
        return ""
    day, _, clock = stamp.partition("T")
    return f"{clock[:8]}Z" if now.startswith(day) else f"{day} {clock[:5]}Z"


def print_table(table: Table) -> None:
    """Print as wide as the terminal is, after an empty line; a pipe or a file gets whole lines."""
    Console(width=None if sys.stdout.isatty() else 240).print("", table, sep="\n")


def progress(*columns: ProgressColumn) -> Progress:
    """Return a bar on stderr, seen by people only and gone when the work is done."""
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
