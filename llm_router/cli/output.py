"""What commands print: JSON for scripts, tables and progress for people."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.table import Table


def write_json(value: Any) -> None:
    """Print what `--json` promises: one document, readable by people too."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_table(table: Table) -> None:
    """Print as wide as the terminal is; a pipe or a file gets whole lines."""
    Console(width=None if sys.stdout.isatty() else 240).print(table)


def progress(*columns: ProgressColumn) -> Progress:
    """Return a bar on stderr, seen by people only and gone when the work is done."""
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
