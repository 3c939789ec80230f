"""Every fault and every threat is named by a test, or stands with the reason why it is not."""

import ast
from collections import defaultdict
from pathlib import Path

from tests.faults import DO_NOT_APPLY, FAULTS, THREATS, ids_in

TESTS = Path(__file__).parent
KNOWN = FAULTS.keys() | THREATS.keys()


def named() -> dict[str, list[str]]:
    """Return the tests that name each id."""
    found = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if not node.name.startswith("test_"):
                    continue
                for each in ids_in(ast.get_docstring(node) or ""):
                    found[each].append(f"{path.relative_to(TESTS)}::{node.name}")
    return dict(found)


def test_each_is_named_by_a_test_or_does_not_apply() -> None:
    """T48"""
    assert not KNOWN - named().keys() - DO_NOT_APPLY.keys()


def test_no_test_names_what_is_not_listed() -> None:
    assert named().keys() <= KNOWN


def test_what_does_not_apply_is_not_tested() -> None:
    assert DO_NOT_APPLY.keys() <= KNOWN
    assert not DO_NOT_APPLY.keys() & named().keys()
    assert all(len(reason) > 20 for reason in DO_NOT_APPLY.values())
