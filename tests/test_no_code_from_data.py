"""What comes from a request, a file or the database stays data."""

import ast
from pathlib import Path

import pytest

import llm_router

FILES = sorted(Path(llm_router.__file__).parent.rglob("*.py"))
CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.fork", "os.forkpty"),
    *("os.posix_spawn", "os.posix_spawnp", "os.execv", "os.execve", "os.spawnv", "os.spawnve"),
    *("asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell"),
}
MODULES = {
    *("pickle", "marshal", "shelve", "subprocess", "yaml", "jinja2", "code", "runpy", "pty"),
    *("multiprocessing", "ctypes", "xmlrpc"),
}
# Starts workers: this program again, its role and a descriptor's number behind it.
ALLOWED = {"workers/process.py": ["asyncio.create_subprocess_exec"]}


def faults(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in CALLS:
            found.append(ast.unparse(node.func))
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found.append(str(node.module))
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FILES[0].parent)))
def test_no_module_can_run_what_it_is_given(file: Path) -> None:
    """T04: no eval, no pickle, no templates, no child processes but workers."""
    allowed = ALLOWED.get(file.relative_to(FILES[0].parent).as_posix(), [])
    assert faults(file.read_text(encoding="utf-8")) == allowed


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "import pickle",
        "from subprocess import run",
        "import os\nos.system('ls')",
        "asyncio.create_subprocess_shell(x)",
    ],
)
def test_the_check_sees_what_it_looks_for(source: str) -> None:
    assert faults(source)
