"""Bring the database to the schema of this version, as every start of the server does.

Each migration runs once, in one transaction; a database from a newer version is left as it is.
"""

import argparse
import sys

from llm_router.cli.options import json_option, load, settings_options
from llm_router.cli.output import write_json
from llm_router.storage.lock import writer_lock
from llm_router.storage.migrate import migrations, prepare


def configure(parser: argparse.ArgumentParser) -> None:
    json_option(parser)
    settings_options(parser)


def run(args: argparse.Namespace) -> int:
    path = load(args).settings.ledger.path
    with writer_lock(path):
        applied = prepare(path, _tell)
    version = migrations()[-1].version
    if args.json:
        write_json(
            {
                "database": str(path),
                "version": version,
                "applied": [{"version": m.version, "name": m.name} for m in applied],
            }
        )
        return 0
    for migration in applied:
        sys.stdout.write(f"applied {migration.version:04d} {migration.name}\n")
    sys.stdout.write(f"{path} has schema {version}{'' if applied else ', nothing to do'}\n")
    return 0


def _tell(words: str) -> None:
    sys.stderr.write(f"{words}\n")
