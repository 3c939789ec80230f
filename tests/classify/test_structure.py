# ruff: noqa: RUF001 - operators and marks that look like others are what is looked for
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_router.classify.structure import form_of
from llm_router.classify.vocabulary import tokens
from tests.fakes.effort import examples


def signs(text: str) -> set[str]:
    return {sign.name for sign in form_of(text, tokens(text.lower())).signs}


@pytest.mark.parametrize(
    ("sign", "shown", "not_shown"),
    [
        ("a code block", "```\nx\n```", "``x``"),
        ("lines of code", "a = 1;\nb", "one; two"),
        ("a definition in code", "def main(x)", "undef main(x)"),
        ("a definition in code", "SELECT name", "select name"),
        ("a definition in code", "#include <a>", "include <a>"),
        ("a definition in code", "items.map(x => {", "x => y"),
        ("a definition in code", "\n#!/bin/sh", "see #!/bin/sh"),
        ("calls in code", "rows[0]", "see [0]"),
        ("calls in code", "run()", "see () there"),
        ("calls in code", "a.run(1)", "a.run 1"),
        ("calls in code", "--all=1", "-- all=1"),
        ("calls in code", "a->b", "a -> b"),
        ("calls in code", "a::b", "a:: b"),
        ("names in code", "myName", "My NAME MYname"),
        ("names in code", "my_name", "_name MY_NAME"),
        ("markup", "<br/>", "1 < 2"),
        ("a file name", "main.py", "the end. python"),
        ("an error from a program", "ValueError", "an Error, an error"),
        ("an error from a program", "exit code 1", "exit code one"),
        ("a formula", "17 * 23", "17 or 23"),
        ("a formula", "x = -3", "max = 3"),
        ("a formula", "2y + z", "2nd + third"),
        ("a formula", "$a + b$", "$a + b"),
        ("a formula", "∑ of all", "all of it"),
        ("a formula", "f(x)", "if(x)"),
        ("money or percent", "5 %", "five %"),
        ("money or percent", "€5", "€ and 5"),
        ("money or percent", "Rs. 20", "CRs. 20"),
        ("two numbers", "12 and ٣", "12 and three"),
        ("many numbers", "1 2 3 4", "1 2 34"),
        ("answer options", "(a) one\n(b) two", "(a) one"),
        ("answer options", "A. one B. two", "A. one verb. two"),
        ("answer options", "A、一 B、二", "A、一"),
        ("answer options", "A．一\nB．二", "一．二"),
        ("a question", "so?  \n", "so? yes"),
        ("a question", "吗？", "吗"),
        ("more than 40 words", "w " * 41, "w " * 40),
        ("a few words", "w " * 4, "w " * 5),
        ("a short message", "w " * 8, "w " * 9),
        ("an exclamation", "Great! ", "! great"),
        ("a plain sentence", "Great.", "Great"),
        ("an emoji", "☀ today", "⌘ today"),
        ("an emoji", "today :-)", "today: )"),
    ],
)
def test_a_sign_is_told_from_what_looks_like_it(sign: str, shown: str, not_shown: str) -> None:
    assert sign in signs(shown)
    assert sign not in signs(not_shown)


@pytest.mark.parametrize(
    "text",
    [
        *("def f(", "function (", "#include <", "from a.b import", "import a;", "import a as "),
        *("public void", "console.log(", "print(", "println(", "printf(", "var x =", "let x="),
        *("const x =", "return x;", "SELECT *", "<?php", "=> {", "#!/"),
    ],
)
def test_a_definition_is_known_in_many_languages(text: str) -> None:
    assert "a definition in code" in signs(f"{text} ")


# The same patterns written plainly, without looking for a rare character first.
PLAIN = {
    "lines of code": r"[;{}] ?(?:\n|$)",
    "a definition in code": r"\bdef \w+ ?\(|\bfunction \w* ?\(|#include ?[<\"]"
    r"|\bfrom [\w.]+ import\b|\bimport [\w.{*]+(?:;|\n| as | from )"
    r"|\bpublic (?:static|class|void|int)\b|\bconsole\.log\(|\bprint(?:ln|f)?\("
    r"|\b(?:var|const|let) \w+ ?=|\breturn \w+;|=> ?[{(]|\bSELECT [\w*]|<\?php|(?m:^)#!/",
    "calls in code": r"\w\(\)|\.\w+\(|\w\[\w+\]|->\w|::\w|--[a-z]+=",
    "names in code": r"[a-z][A-Z][a-z]|[a-z]_[a-z]",
    "an error from a program": r"Traceback \(most|Exception in thread|[a-z](?:Error|Exception)\b"
    r"|error: |panicked at|core dumped|exit code \d",
    "a formula": r"\d ?[-+*/^=×÷<>≤≥] ?\d|\b[a-z] ?[=<>+^] ?-?\d|\d[a-z] ?[-+=]|\b[a-z]\^\d"
    r"|[∑∫√π∈≠≤≥]|\bf\(x\)|\$[^$\n]{1,80}\$|\\(?:frac|sqrt|sum|int|begin|cdot|overline)\b",
    "money or percent": r"[$€£¥] ?\d|\d ?[$€£%]|\b(?:Rs|USD)\.? ?\d",
    "two numbers": r"\d\D+\d",
    "an emoji": "[\U0001f300-\U0001faff\u2600-\u27bf]|[:;]-?[)(DP]",
}
_PLAIN = {name: re.compile(pattern) for name, pattern in PLAIN.items()}
_FRAGMENTS = (
    *("def ", "run", "function ", "#include", "<", "from ", "a.b", "import", "*", "as "),
    *("public ", "void", "console", ".log", "(", ")", "print", "ln", "f", "var ", "x", "="),
    *("let ", "return ", ";", "=>", "{", "}", "SELECT ", "<?php", "#!/", "[", "]", "->", "::"),
    *("--", "a", "B", "_", "Error", "Exception", "error: ", "Traceback (most", "exit code "),
    *("1", "23", "٣", "+", "^", "-", "×", "≤", "$", "€", "%", "Rs", "USD", ".", " ", ":", "é"),
    *("#", "++", "☀", "∑", "f(x)"),
    *("\n", "\\frac", "\\"),
)


@settings(max_examples=examples(400))
@given(st.lists(st.sampled_from(_FRAGMENTS), max_size=12).map("".join))
@example("x#def a(")
@example("a++print(")
@example("exit code ٣")
def test_the_quick_search_finds_what_the_plain_pattern_finds(text: str) -> None:
    found = signs(text)
    for name, pattern in _PLAIN.items():
        assert (name in found) is bool(pattern.search(text)), name


@pytest.mark.parametrize(
    "unit",
    [
        *("a-", "; ", "$", "A) ", " ", "<a ", "a.b.", "1", "a_", "\n(A", "aA", "为什么", "::a"),
        *("function ", "def a", "import a.", "return a", "```", "(", "[a", "at a.", "x= ", "how "),
        *("from a", "b) ", "1 $", "Error", "error: ", "R", "--a", "write a "),
    ],
)
def test_no_sign_is_worse_than_linear(unit: str) -> None:
    """What used to be quadratic, answer options, took a second for 100 KB; here it would hang."""
    assert len(signs(unit * (300_000 // len(unit)))) < 12
