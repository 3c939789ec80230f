"""Show every setting in force and where it comes from, and whether a server would start with it.

Secrets are shown as ***. Aliases and categories are not settings: see `llm-router config export`.
"""

import argparse
import sys
from typing import Any

from pydantic import SecretStr
from rich.markup import escape

from llm_router.cli.options import json_option, load, settings_options
from llm_router.cli.output import add_texts, new_table, print_table, write_json
from llm_router.cli.seed import ignored
from llm_router.errors import SettingsError, StorageError
from llm_router.settings import Settings
from llm_router.settings_load import Loaded, check_start, require_api_key
from llm_router.settings_sources import KEYS
from llm_router.storage.lock import check_place
from llm_router.upstream.origin import check_way


def configure(parser: argparse.ArgumentParser) -> None:
    json_option(parser)
    settings_options(parser)


def run(args: argparse.Namespace) -> int:
    try:
        loaded = load(args)
    except SettingsError as exc:
        if not args.json:
            raise
        write_json({"settings": {}, "warnings": [], "problems": [str(exc)]})
        return 1
    values = shown(loaded.settings)
    problems, unheard = problems_of(loaded), ignored(loaded)
    if args.json:
        facts = {
            key: {"value": value, "source": loaded.sources.get(key, "default")}
            for key, value in values.items()
        }
        write_json(
            {"settings": facts, "warnings": [*loaded.warnings, *unheard], "problems": problems}
        )
        return 1 if problems else 0
    table = new_table()
    add_texts(table, "setting", "value", "from")
    for key, value in values.items():
        source = loaded.sources.get(key, "default")
        table.add_row(
            key,
            escape(_words(value)),
            escape(source),
            style=None if key in loaded.sources else "dim",
        )
    print_table(table)
    for warning in unheard:
        sys.stderr.write(f"llm-router: warning: {warning}\n")
    for problem in problems:
        sys.stderr.write(f"llm-router: {problem}\n")
    return 1 if problems else 0


def shown(settings: Settings) -> dict[str, Any]:
    """Return `section.key` → value for JSON, secrets as ***."""
    values = {}
    for key in KEYS:
        section, _, name = key.partition(".")
        values[key] = _plain(getattr(getattr(settings, section), name))
    return values


def problems_of(loaded: Loaded) -> list[str]:
    """Return what would stop `serve`."""
    problems = []
    for check in (
        lambda: check_start(loaded.settings, loaded.sources),
        lambda: require_api_key(loaded.settings),
        lambda: check_way(loaded.settings.upstream.base_url),
        lambda: check_place(loaded.settings.ledger.path),
    ):
        try:
            check()
        except (SettingsError, StorageError) as exc:
            problems.append(str(exc))
    return problems


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "***"
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _words(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, list) else str(value)
