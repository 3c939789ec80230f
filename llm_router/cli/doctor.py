"""Collect what a bug report needs: versions, settings, database, journal. Never a secret.

Exit status 1 when it finds a problem. With --network it also asks whether OpenRouter and Ollama
answer; that costs nothing.
"""

import argparse
import asyncio
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from llm_router.cli import reach
from llm_router.cli.check_config import problems_of, shown
from llm_router.cli.options import json_option, load, settings_options
from llm_router.cli.output import write_json
from llm_router.cli.seed import ignored
from llm_router.cli.versions import version_problems, versions
from llm_router.errors import RouterError
from llm_router.ledger import segments
from llm_router.settings import LedgerSettings
from llm_router.settings_load import Loaded
from llm_router.storage.migrate import connect_readonly, migrations, schema_version
from llm_router.storage.sqlite import running_server
from llm_router.storage.trouble import TROUBLE, explain


def configure(parser: argparse.ArgumentParser) -> None:
    json_option(parser)
    parser.add_argument("--network", action="store_true", help="ask OpenRouter and Ollama, too")
    settings_options(parser)


def run(args: argparse.Namespace) -> int:
    problems: list[str] = []
    facts: dict[str, Any] = {"versions": versions()}
    problems += version_problems(facts["versions"])
    try:
        loaded = load(args)
    except RouterError as exc:
        problems.append(str(exc))
    else:
        facts |= _facts(loaded, problems, is_online=args.network)
    facts["problems"] = problems
    if args.json:
        write_json(facts)
    else:
        _print(facts)
    return 1 if problems else 0


def database(path: Path) -> dict[str, Any]:
    """Return what can be said of the database file without changing it."""
    facts: dict[str, Any] = {"path": str(path), "exists": path.exists()}
    server = running_server(path)
    facts["written by"] = _writer(server)
    if not path.exists():
        return facts
    wal = path.with_name(path.name + "-wal")
    facts["bytes"] = path.stat().st_size
    facts["wal bytes"] = wal.stat().st_size if wal.exists() else 0
    facts["mode"] = stat.filemode(path.stat().st_mode)
    with _connected(path) as connection:
        facts["schema"] = schema_version(connection, path)
        facts["schema of this program"] = migrations()[-1].version
        facts["rows"] = {
            "requests": _number(connection, "SELECT count(*) FROM requests"),
            "attempts": _number(connection, "SELECT count(*) FROM attempts"),
            "in flight": _number(connection, "SELECT count(*) FROM attempts WHERE outcome IS NULL"),
        }
        facts["configuration version"] = _number(
            connection, "SELECT max(version) FROM config_versions"
        )
    return facts


def _writer(server: dict[str, Any] | None) -> str:
    if server is None:
        return "nobody"
    where = f" at {server['url']}" if "url" in server else ""
    return f"process {server.get('pid', '?')}{where}"


def journal(settings: LedgerSettings) -> dict[str, Any]:
    """Return how much of the journal has not been moved into the database yet."""
    folder = settings.journals
    found = segments.listed(folder) if folder.is_dir() else []
    sizes = {segment.name: (folder / segment.name).stat().st_size for segment in found}
    moved = _offsets(settings.path) if found else {}
    return {
        "path": str(folder),
        "segments": len(found),
        "bytes": sum(sizes.values()),
        "backlog bytes": sum(size - moved.get(name, 0) for name, size in sizes.items()),
    }


def _facts(loaded: Loaded, problems: list[str], *, is_online: bool) -> dict[str, Any]:
    settings = loaded.settings
    values = shown(settings)
    facts: dict[str, Any] = {
        "settings": {key: f"{values[key]} ({source})" for key, source in loaded.sources.items()},
        "warnings": [*loaded.warnings, *ignored(loaded)],
    }
    problems += problems_of(loaded)
    try:
        facts["database"] = database(settings.ledger.path)
        facts["journal"] = journal(settings.ledger)
    except RouterError as exc:
        problems.append(str(exc))
    if is_online:
        upstream, is_well = asyncio.run(reach.openrouter(settings))
        facts["network"] = {
            "openrouter": upstream,
            "ollama": asyncio.run(reach.ollama(settings))[0],
        }
        if not is_well:
            problems.append(upstream)
    return facts


def _offsets(path: Path) -> dict[str, int]:
    if not path.exists():
        return {}
    with _connected(path) as connection:
        return dict(connection.execute("SELECT segment, offset FROM journal_offsets"))


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(connect_readonly(path)) as connection:
            yield connection
    except TROUBLE as exc:
        raise explain(path, exc) from exc


def _number(connection: sqlite3.Connection, sql: str) -> int | None:
    number: int | None = connection.execute(sql).fetchone()[0]
    return number


def _print(facts: dict[str, Any]) -> None:
    for title, entries in facts.items():
        sys.stdout.write(f"{title}\n")
        lines = [_line(*fact) for fact in entries.items()] if isinstance(entries, dict) else entries
        for line in lines or ["none"]:
            sys.stdout.write(f"  {line}\n")


def _line(name: str, value: Any) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{number} {kind}" for kind, number in value.items())
    elif isinstance(value, bool):
        value = "yes" if value else "no"
    return f"{name}: {value}"
