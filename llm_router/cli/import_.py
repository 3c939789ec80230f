"""Take a router_config.json of the original system into the database.

Its format is not documented; what is not understood is listed and left alone. Categories and short
names that the file does not mention stay as they are.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from llm_router.cli.config import change, in_force, print_changes, warn_of_gone
from llm_router.cli.options import json_option, load, settings_options
from llm_router.cli.output import write_json
from llm_router.errors import SettingsError
from llm_router.importer import Import, take
from llm_router.routing.document import changes, to_dict
from llm_router.routing.names import safe


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="the router_config.json")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    json_option(parser)
    settings_options(parser)


def run(args: argparse.Namespace) -> int:
    loaded = load(args)
    data, repeated = _read(args.file)
    before = in_force(loaded)
    result = take(before, data)
    result.not_understood += [
        f"{key}: twice in one object; the last one counts" for key in repeated
    ]
    after = result.config
    if result.taken and not args.dry_run:
        # Once more, on what is in force by then.
        before, after = change(loaded, "import", lambda current: take(current, data).config)
    if args.json:
        made = changes(to_dict(before), to_dict(after))
        write_json(
            {
                "is_dry_run": args.dry_run,
                "taken": result.taken,
                "not_understood": result.not_understood,
                "changes": [change.as_dict() for change in made],
            }
        )
    else:
        _print(result)
        print_changes(before, after, is_dry_run=args.dry_run)
        warn_of_gone(loaded.settings, before, after)
    return 0 if result.taken else 1


def _print(result: Import) -> None:
    for title, lines in (("taken", result.taken), ("not understood", result.not_understood)):
        for line in lines:
            sys.stdout.write(f"{title}: {line}\n")


def _read(path: Path) -> tuple[object, list[str]]:
    """Return what the file holds, and which keys stand twice in one of its objects."""
    repeated: list[str] = []

    def kept(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            names = [name for name, _ in pairs]
            repeated.extend(safe(name) for name in members if names.count(name) > 1)
        return members

    try:
        data: object = json.loads(path.read_text("utf-8-sig"), object_pairs_hook=kept)
    except OSError as exc:
        raise SettingsError(f"{path} cannot be read: {exc.strerror or exc}.") from exc
    except (ValueError, RecursionError) as exc:
        raise SettingsError(f"{path} is not valid JSON: {exc}.") from exc
    return data, repeated
