"""How commands are found, and how they end."""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from llm_router import __version__, cli
from llm_router.cli import COMMANDS, command_module, main
from llm_router.errors import RouterError
from tests.cli.conftest import Run


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A command that does what a test says, in place of `serve`."""
    module = ModuleType("fake", "A command for tests.")
    module.configure = lambda parser: parser.add_argument("--n", type=int)  # type: ignore[attr-defined]
    monkeypatch.setattr(cli, "command_module", lambda name: module)
    return module


def ends_with(exception: BaseException) -> object:
    def run(args: argparse.Namespace) -> int:
        raise exception

    return run


def test_help_lists_every_command_and_how_to_begin(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    for name, line in COMMANDS.items():
        assert f"  {name:<15} {line}" in out
    assert "To begin with:\n  llm-router demo" in out


def test_without_a_command_the_help_is_shown_as_wrong_usage(run: Run) -> None:
    status, out, _ = run()
    assert status == 2
    assert "Serve:" in out


def test_the_version_is_told(run: Run) -> None:
    assert run("--version") == (0, f"llm-router {__version__}\n", "")


def test_a_mistyped_command_gets_a_hint(run: Run) -> None:
    status, _, err = run("srve")
    assert status == 2
    assert "there is no command 'srve'; did you mean serve?" in err
    assert "see llm-router --help" in run("zzzz")[2]


def test_wrong_usage_is_2(run: Run, fake: ModuleType) -> None:
    fake.run = ends_with(AssertionError("must not run"))  # type: ignore[attr-defined]
    status, _, err = run("serve", "--n", "x")
    assert status == 2
    assert "usage: llm-router serve" in err


def test_the_commands_status_is_the_programs(run: Run, fake: ModuleType) -> None:
    fake.run = lambda args: args.n  # type: ignore[attr-defined]
    assert run("serve", "--n", "7")[0] == 7


def test_an_expected_failure_is_one_line_and_1(run: Run, fake: ModuleType) -> None:
    fake.run = ends_with(RouterError("the database is on fire"))  # type: ignore[attr-defined]
    assert run("serve") == (1, "", "llm-router: the database is on fire\n")


def test_ctrl_c_is_130(run: Run, fake: ModuleType) -> None:
    fake.run = ends_with(KeyboardInterrupt())  # type: ignore[attr-defined]
    assert run("serve") == (130, "", "")


def test_an_exit_with_words_is_1(run: Run, fake: ModuleType) -> None:
    fake.run = ends_with(SystemExit("words"))  # type: ignore[attr-defined]
    assert run("serve")[0] == 1


def test_arguments_come_from_the_command_line_by_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["llm-router", "--version"])
    assert main() == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_takes_no_secret(name: str) -> None:
    """T39: what stands on a command line, every user of the machine can read."""
    module = command_module(name)
    assert module.__doc__
    assert callable(module.run)
    parser = argparse.ArgumentParser()
    module.configure(parser)
    for option in options(parser):
        assert not any(word in option for word in ("key", "secret", "token", "password")), option


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from options(inner)


def python(*arguments: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    environ = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=environ, **options)


def test_a_command_is_imported_only_when_it_is_asked_for(folder: Path) -> None:
    code = "import sys, llm_router.cli; print('aiohttp' in sys.modules)"
    assert python("-c", code, cwd=folder, capture_output=True).stdout.strip() == b"False"


def test_a_reader_that_has_enough_ends_it_quietly(folder: Path) -> None:
    """As in `llm-router config export | head -0`."""
    read, write = os.pipe()
    os.close(read)
    done = python(
        "-m", "llm_router", "config", "export", cwd=folder, stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_python_m_is_the_same_program(folder: Path) -> None:
    done = python("-m", "llm_router", "--version", cwd=folder, capture_output=True)
    assert done.stdout.decode().strip() == f"llm-router {__version__}"
