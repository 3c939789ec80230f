"""`llm-router COMMAND`: find the command, parse its arguments, call one function.

Each command is a module beside this one with `configure(parser)` and `run(args) -> exit status`,
imported only when it is asked for; its docstring is what --help says first. What goes wrong as
expected is a RouterError, told in one line.
"""

import argparse
import difflib
import importlib
import json
import keyword
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from llm_router import __version__
from llm_router.collector import paused
from llm_router.errors import RouterError

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

    from llm_router.settings_load import Loaded

GROUPS: dict[str, dict[str, str]] = {
    "Serve": {
        "serve": "route chat requests to OpenRouter",
        "demo": "serve on an embedded upstream: no key, no network, no cost",
        "demo-upstream": "run only that embedded OpenRouter and Ollama",
    },
    "Configure": {
        "check-config": "show the settings in force and where each comes from",
        "config": "export, apply, list or roll back categories, chains and aliases",
        "import": "take over a router_config.json of the original system",
        "explain": "say how a prompt would be routed, and why",
        "eval": "score the decisions on labelled prompts",
    },
    "Look": {
        "report": "what it cost, by day, model or category",
        "requests": "the latest requests of the ledger",
        "breakers": "which models are shut out, and until when; reset them",
        "doctor": "everything a bug report needs, without secrets",
    },
    "Maintain": {
        "migrate": "bring the database to this version's schema",
        "prune": "delete raw rows of the ledger, keeping the totals",
        "backup": "copy the database while it is in use",
    },
}
COMMANDS = {name: help_line for group in GROUPS.values() for name, help_line in group.items()}

_EPILOG = """\
To begin with:
  llm-router demo                 everything works, nothing is needed
  llm-router serve                with OPENROUTER_API_KEY in .env or the environment

`llm-router COMMAND --help` tells more. Exit status: 0 done, 1 failed, 2 wrong usage.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status; no expected failure shows a traceback."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except SystemExit as exc:  # argparse, after --help or wrong usage
        return exc.code if isinstance(exc.code, int) else 1
    except RouterError as exc:
        sys.stderr.write(f"llm-router: {exc}\n")
        return 1
    except BrokenPipeError:
        # The reader, like `head`, has enough. Python would complain once more while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130


def settings_options(parser: argparse.ArgumentParser) -> None:
    """Add --config and --env-file, which `load` reads."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings file (default: config.toml, if any)"
    )
    parser.add_argument(
        "--env-file", type=Path, metavar="FILE", help="environment file (default: .env, if any)"
    )


def address_options(parser: argparse.ArgumentParser) -> None:
    """Add --host and --port, which `load` puts above every other source."""
    from llm_router.cli.arguments import whole

    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=whole(0, 65_535), help="TCP port; 0 takes any free one (default: 3456)"
    )


def load(args: argparse.Namespace, *, is_quiet: bool = False, **sources: Any) -> "Loaded":
    """Load settings as the arguments say; what is doubtful about them goes to stderr.

    `is_quiet` leaves that to the caller; `sources` is passed on to `settings_load.load`.
    """
    from llm_router import settings_load

    options = {
        f"server.{name}": value
        for name in ("host", "port")
        if (value := getattr(args, name, None)) is not None
    }
    loaded = settings_load.load(
        config_file=getattr(args, "config", None),
        env_file=getattr(args, "env_file", None),
        options=options,
        **sources,
    )
    for warning in () if is_quiet else loaded.warnings:
        sys.stderr.write(f"llm-router: warning: {warning}\n")
    return loaded


def write_json(value: Any) -> None:
    """Print what `--json` promises: one document, readable by people too."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_table(table: "Table") -> None:
    """Print as wide as the terminal is; a pipe or a file gets whole lines."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 240).print(table)


def progress() -> "Progress":
    """Return a bar on stderr, seen by people only and gone when the work is done."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def _run(arguments: list[str]) -> int:
    parser = _parser()
    name = next((word for word in arguments if not word.startswith("-")), None)
    if name is None:
        parser.parse_args(arguments)
        parser.print_help()
        return 2
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ", see llm-router --help"
        parser.error(f"there is no command {name!r}{hint}")
    with paused():
        module = command_module(name)
    command = parser.add_subparsers(prog="llm-router").add_parser(
        name,
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.configure(command)
    status: int = module.run(parser.parse_args(arguments))
    sys.stdout.flush()  # here, where a closed pipe is still expected
    return status


def command_module(name: str) -> ModuleType:
    module = name.replace("-", "_")
    return importlib.import_module(
        f"llm_router.cli.{module}_" if keyword.iskeyword(module) else f"llm_router.cli.{module}"
    )


def _parser() -> argparse.ArgumentParser:
    groups = "\n\n".join(
        f"{title}:\n" + "\n".join(f"  {name:<15} {line}" for name, line in commands.items())
        for title, commands in GROUPS.items()
    )
    parser = argparse.ArgumentParser(
        prog="llm-router",
        usage="llm-router COMMAND [options]",
        description="A self-hosted router for LLM chat in front of OpenRouter.\n\n" + groups,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"llm-router {__version__}")
    return parser
