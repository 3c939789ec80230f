"""Categories, chains and aliases: see them, replace them, go back.

They live in the database. While a server runs, changes go through it and are in force at once.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.markup import escape

from llm_router.cli.arguments import whole
from llm_router.cli.options import json_option, load, settings_options
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
from llm_router.errors import DocumentError, SettingsError
from llm_router.routing.catalog import Catalog
from llm_router.routing.config import ConfigHolder, RoutingConfig
from llm_router.routing.document import Change, changes, from_toml, parse, to_dict, to_toml
from llm_router.settings import Settings
from llm_router.settings_load import Loaded
from llm_router.storage.config import ConfigStore, Edit, Version, current, history
from llm_router.storage.models import load_catalog
from llm_router.storage.sqlite import open_database, open_reader

_MOST = 1_000_000_000


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, run_action, help_line in (
        ("export", _export, "print the configuration in force as TOML"),
        ("apply", _apply, "put a TOML file in force, in place of everything there is"),
        ("history", _history, "who changed what, when, from what to what"),
        ("rollback", _rollback, "put an older version in force again"),
    ):
        action = actions.add_parser(
            name, help=help_line, description=f"{help_line[0].upper()}{help_line[1:]}."
        )
        action.set_defaults(run_action=run_action)
        json_option(action)
        settings_options(action)
        if name == "apply":
            action.add_argument(
                "file",
                nargs="?",
                help="what `config export` printed, edited; - for stdin; by default the aliases "
                "and categories of config.toml, over the built-in ones",
            )
        elif name == "rollback":
            action.add_argument(
                "version", type=whole(1, _MOST), help="its number in `config history`"
            )
        elif name == "history":
            action.add_argument(
                "--limit", type=whole(1, _MOST), default=20, help="how many (default: 20)"
            )


def run(args: argparse.Namespace) -> int:
    run_action: Callable[[argparse.Namespace], int] = args.run_action
    return run_action(args)


def in_force(loaded: Loaded) -> RoutingConfig:
    """Return what the database holds, or what an empty one would be filled with."""
    path = loaded.settings.ledger.path
    if not path.exists():
        return loaded.seed

    async def read() -> RoutingConfig | None:
        async with open_reader(path) as reader:
            return await current(reader)

    return asyncio.run(read()) or loaded.seed


async def stored_catalog(settings: Settings) -> Catalog:
    """Return the model list that the database holds, or none."""
    path = settings.ledger.path
    if not path.exists():
        return Catalog()
    async with open_reader(path) as reader:
        return await load_catalog(reader)


def warn_of_gone(settings: Settings, before: RoutingConfig, after: RoutingConfig) -> None:
    """Say which new models OpenRouter's list, as far as the database has it, does not have."""
    new = after.model_ids() - before.model_ids()
    for id_, near in asyncio.run(stored_catalog(settings)).gone(new).items():
        hint = f" (near: {', '.join(near)})" if near else ""
        sys.stderr.write(
            f"llm-router: warning: {id_} is not in OpenRouter's model list, so chains go on "
            f"without it{hint}\n"
        )


def change(loaded: Loaded, action: str, edit: Edit) -> tuple[RoutingConfig, RoutingConfig]:
    """Apply an edit through the running server, or else directly; return before and after."""
    path = loaded.settings.ledger.path
    if url := server_url(path):
        shown = ask(loaded.settings, url, "GET", "/config")
        before = _parsed(shown)
        body = {"version": before.version, **to_dict(edit(before))}
        return before, _parsed(ask(loaded.settings, url, "PUT", "/config", body))

    async def write() -> tuple[RoutingConfig, RoutingConfig]:
        async with open_database(path) as database:
            store = ConfigStore(database, ConfigHolder(loaded.seed))
            before = await store.load_or_seed(loaded.seed)
            return before, await store.change("cli", action, edit)

    return asyncio.run(write())


def print_changes(before: RoutingConfig, after: RoutingConfig, *, is_dry_run: bool = False) -> None:
    """Say in lines what a change did, or would do."""
    for one in changes(to_dict(before), to_dict(after)):
        sys.stdout.write(f"{_line(one)}\n")
    if is_dry_run:
        sys.stdout.write("nothing was changed (--dry-run)\n")
    elif after.version == before.version:
        sys.stdout.write(f"nothing to change; version {after.version} stays in force\n")
    else:
        sys.stdout.write(f"version {after.version} is in force\n")


def _export(args: argparse.Namespace) -> int:
    config = in_force(load(args))
    if args.json:
        write_json(to_dict(config))
    else:
        sys.stdout.write(to_toml(config))
    return 0


def _apply(args: argparse.Namespace) -> int:
    loaded = load(args)
    config = _read(args.file) if args.file else _of_settings(loaded)
    before, after = change(loaded, "apply", lambda _: config)
    if args.json:
        write_json({"version": after.version, **to_dict(after)})
    else:
        print_changes(before, after)
        warn_of_gone(loaded.settings, before, after)
    return 0


def _history(args: argparse.Namespace) -> int:
    path, limit = load(args).settings.ledger.path, args.limit

    async def read() -> list[Version]:
        async with open_reader(path) as reader:
            return await history(reader, limit)

    versions = asyncio.run(read()) if path.exists() else []
    if args.json:
        write_json({"versions": [version.as_dict() for version in versions]})
        return 0
    now = utc_text(time.time())
    table = new_table()
    add_facts(table, "version", "when")
    add_texts(table, "who", "what", "changed")
    for version in versions:
        # The first version has everything as a change, which says nothing.
        shown = "\n".join(map(_line, version.changes)) if version.version > 1 else ""
        when = brief_time(version.at, now)
        row = (str(version.version), when, version.actor, version.action, shown)
        table.add_row(*map(escape, row))
    print_table(table)
    return 0


def _rollback(args: argparse.Namespace) -> int:
    loaded = load(args)
    path = loaded.settings.ledger.path
    if url := server_url(path):
        after = _parsed(ask(loaded.settings, url, "POST", f"/config/rollback/{args.version}"))
    else:
        after = asyncio.run(_roll_back(loaded, args.version))
    if args.json:
        write_json({"version": after.version, **to_dict(after)})
    else:
        sys.stdout.write(f"version {after.version} is in force, as version {args.version} was\n")
    return 0


async def _roll_back(loaded: Loaded, version: int) -> RoutingConfig:
    async with open_database(loaded.settings.ledger.path) as database:
        store = ConfigStore(database, ConfigHolder(loaded.seed))
        return await store.rollback(version, "cli")


def _of_settings(loaded: Loaded) -> RoutingConfig:
    if loaded.seed_file is None:
        raise SettingsError("config.toml has no aliases or categories; name a FILE to apply.")
    return loaded.seed


def _read(file: str) -> RoutingConfig:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
        return from_toml(text)
    except OSError as exc:
        raise SettingsError(f"{file} cannot be read: {exc.strerror or exc}.") from exc
    except UnicodeDecodeError as exc:
        raise SettingsError(f"{file} is not UTF-8 text.") from exc
    except DocumentError as exc:
        raise SettingsError(f"{file}: {exc}") from exc


def _parsed(answer: dict[str, Any]) -> RoutingConfig:
    """Read a server's answer, which shows more than the document has."""
    categories = {
        name: {key: value for key, value in entry.items() if key != "builtin"}
        for name, entry in answer["categories"].items()
    }
    document = {"aliases": answer["aliases"], "categories": categories}
    return parse(document, version=answer["version"])


def _line(change: Change) -> str:
    return f"{change.path}: {_short(change.before)} -> {_short(change.after)}"


def _short(value: str | list[str] | None) -> str:
    if value is None:
        return "none"
    text = ", ".join(value) if isinstance(value, list) else value
    return text or "empty"
