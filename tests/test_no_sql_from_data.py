"""Every statement that SQLite sees was written by a programmer; values go in as parameters."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import llm_router

PACKAGE = Path(llm_router.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
RUNNERS = {"execute", "executemany", "execute_fetchall", "executescript", "read"}
SQL = re.compile(
    r"\b(SELECT|INSERT\s+(OR\s+\w+\s+)?INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|DROP|ALTER|ATTACH|"
    r"PRAGMA|WHERE|ORDER\s+BY|GROUP\s+BY|LIMIT|VALUES)\b"
)
# `Insert` puts its SQL together when a module is loaded; the last test sees to it that it does so
# nowhere else.
BUILDERS = {"storage/inserts.py": {"Insert.__init__"}}


def faults(source: str, exempt: frozenset[str] = frozenset()) -> list[str]:
    """Return what puts SQL together at run time, or runs what is no constant or parameter."""
    return [
        f"{name}: {ast.unparse(node)}"
        for name, function in functions(ast.parse(source))
        if name not in exempt
        for node in ast.walk(function)
        if is_built_sql(node) or runs_an_expression(node)
    ]


def functions(tree: ast.AST, within: str = "") -> Iterator[tuple[str, ast.AST]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from functions(node, f"{within}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield within + node.name, node


def is_built_sql(node: ast.AST) -> bool:
    if isinstance(node, ast.JoinedStr):
        text = "".join(str(v.value) if isinstance(v, ast.Constant) else "?" for v in node.values)
        return bool(SQL.search(text)) and any(
            isinstance(v, ast.FormattedValue) for v in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return any(is_sql(side) for side in (node.left, node.right))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in ("format", "format_map", "join", "replace") and is_sql(
            node.func.value
        )
    return False


def is_sql(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and bool(SQL.search(node.value))
    )


def runs_an_expression(node: ast.AST) -> bool:
    """A constant, a name or a member of a table of statements; nothing is made on the spot."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in RUNNERS
        and bool(node.args)
        and isinstance(node.args[0], ast.JoinedStr | ast.BinOp | ast.Call)
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_statement_is_made_of_data(file: Path) -> None:
    """T01"""
    exempt = BUILDERS.get(file.relative_to(PACKAGE).as_posix(), set())
    assert faults(file.read_text(encoding="utf-8"), frozenset(exempt)) == []


@pytest.mark.parametrize(
    "body",
    [
        "db.execute(f'SELECT * FROM requests WHERE id = {id}')",
        "db.execute('SELECT * FROM requests WHERE id = ' + id)",
        "db.execute('SELECT * FROM %s' % table)",
        "sql = 'SELECT {}'.format(id)",
        "sql = f'DELETE FROM {table}'",
        "sql = ' WHERE '.join(parts)",
        "db.execute(statement(id))",
        "await database.read(f'{sql}')",
    ],
)
def test_the_check_sees_what_it_looks_for(body: str) -> None:
    assert faults(f"async def run(db, id):\n    {body}")


def test_what_builds_statements_does_so_when_modules_are_loaded() -> None:
    """T01"""
    for file in FILES:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        made = [n for _, f in functions(tree) for n in ast.walk(f) if is_insert(n)]
        assert made == [], file
    assert any(is_insert(n) for f in FILES for n in ast.walk(ast.parse(f.read_text("utf-8"))))


def is_insert(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Insert")
