"""`llm-router COMMAND`: find the command, parse its arguments, call one function.

Each command is a module beside this one with `configure(parser)` and `run(args) -> exit status`,
imported only when it is asked for; its docstring is what --help says first. A RouterError is a
failure that was expected, and is told in one line.
"""

import argparse
import difflib
import importlib
import keyword
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from llm_router import __version__
from llm_router.errors import RouterError
from llm_router.imports import lean

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
    with lean():
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
