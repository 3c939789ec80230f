"""Copy the database to a file, whole and consistent, also while a server writes it.

To restore, stop the server and put the copy where the database was. What a server has journaled in
the last tenth of a second is not in it yet.
"""

import argparse
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from llm_router import platform
from llm_router.cli.options import json_option, load, settings_options
from llm_router.cli.output import progress, write_json
from llm_router.errors import StorageError
from llm_router.storage.migrate import connect_readonly
from llm_router.storage.trouble import TROUBLE, explain, explain_os

_PAGES_PER_STEP = 2048


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the copy; must not exist yet")
    json_option(parser)
    settings_options(parser)


def run(args: argparse.Namespace) -> int:
    path, target = load(args).settings.ledger.path, args.file
    if not path.exists():
        raise StorageError(f"database {path} does not exist; there is nothing to back up")
    size = backup(path, target)
    if args.json:
        write_json({"database": str(path), "file": str(target), "bytes": size})
    else:
        sys.stdout.write(f"{path} is backed up as {target} ({size:,} bytes)\n")
    return 0


def backup(path: Path, target: Path) -> int:
    """Copy the database to a new file and return its size; on failure leave no file behind."""
    try:
        os.close(platform.open_private(target, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    except FileExistsError as exc:
        raise StorageError(f"{target} exists already and is not overwritten") from exc
    except OSError as exc:
        raise explain_os(target, exc) from exc
    try:
        _copy(path, target)
    except BaseException:
        target.unlink()
        raise
    return target.stat().st_size


def _copy(path: Path, target: Path) -> None:
    try:
        with (
            progress() as bar,
            closing(connect_readonly(path)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            task = bar.add_task("copying")
            # One transaction over all steps: otherwise every commit meanwhile starts it anew.
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            source.backup(
                copy,
                pages=_PAGES_PER_STEP,
                progress=lambda _, remaining, total: bar.update(
                    task, completed=total - remaining, total=total
                ),
            )
    except TROUBLE as exc:
        raise explain(path, exc) from exc
