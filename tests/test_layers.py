"""Imports point one way: docs/architecture.md draws the layers, this holds the modules to them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import llm_router

ROOT = Path(llm_router.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# From the bottom up. A module imports from its own part and from layers below, never sideways.
LAYERS = (
    {"collector", "errors", "members", "platform", "settings", "tasks"},
    {"clock", "imports", "listening", "load", "loop", "turns", "watchdog"},
    {"ledger", "logs"},
    {"routing"},
    {"demo", "importer_shapes", "settings_sources", "storage", "upstream"},
    {"classify", "importer", "link", "settings_values"},
    {"proxy", "settings_load"},
    {"keys"},
    {"web"},
    {"parts"},
    {"ledger_parts", "worker_parts"},
    {"app"},
    {"serving"},
    {"workers"},
    {"cli"},
    {"__main__"},
)
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the parts of llm_router that a module needs at run time."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "llm_router":
            yield from (alias.name for alias in node.names if not alias.name.startswith("__"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("llm_router."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            named = (alias.name.split(".") for alias in node.names)
            yield from (name[1] for name in named if name[0] == "llm_router" and name[1:])
        else:
            yield from imported(node)


def upward(part: str, source: str) -> list[str]:
    return [
        other
        for other in imported(ast.parse(source))
        if other != part and RANK[other] >= RANK[part]
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_module_imports_only_what_lies_below_it(file: Path) -> None:
    part = file.relative_to(ROOT).with_suffix("").parts[0]
    if part != "__init__":
        assert upward(part, file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "from llm_router.web.routes import Route",
        "from llm_router import serving",
        "import llm_router.cli",
        "def late():\n    from llm_router.proxy.call import Call",
    ],
)
def test_the_check_sees_an_arrow_that_points_up(source: str) -> None:
    assert upward("storage", source)


def test_what_only_types_need_is_no_arrow() -> None:
    source = "if TYPE_CHECKING:\n    from llm_router.web.routes import Route"
    assert upward("storage", source) == []
