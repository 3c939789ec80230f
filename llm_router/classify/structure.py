"""Signs in a prompt's form: code, formulas, answer options, length. No words of any language.

The patterns hold no nested quantifier, and no repetition starts where another one of the same
characters could, so each is linear in the clipped text.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Tokens = Sequence[str]


@dataclass(frozen=True, slots=True)
class Sign:
    name: str
    category: str
    weight: float
    holds: Callable[[str, Tokens], object]


def _seen(pattern: str, *marks: str, flags: int = 0) -> Callable[[str, Tokens], object]:
    """Search for a pattern; with `marks`, only in a text that contains one of them."""
    search = re.compile(pattern, flags).search

    def holds(text: str, tokens: Tokens) -> object:
        return (not marks or any(mark in text for mark in marks)) and search(text)

    return holds


def _has_options(text: str, tokens: Tokens) -> object:
    return _first_option(text) and _second_option(text)


_first_option = re.compile(r"(?:^|\s)\(?[Aa][).] ?\S").search
_second_option = re.compile(r"(?:^|\s)\(?[Bb][).] ?\S").search
_numbers = re.compile(r"\d+").findall

SIGNS: tuple[Sign, ...] = (
    Sign("a code block", "code", 2.0, lambda text, tokens: "```" in text),
    Sign("lines of code", "code", 1.5, _seen(r"[;{}] ?(?:\n|$)")),
    Sign(
        "a definition in code",
        "code",
        2.0,
        _seen(
            r"\bdef \w+ ?\(|\bfunction \w* ?\(|#include ?[<\"]|\bfrom [\w.]+ import\b"
            r"|\bimport [\w.{*]+(?:;|\n| as | from )|\bpublic (?:static|class|void|int)\b"
            r"|\bconsole\.log\(|\bprint(?:ln|f)?\(|\b(?:var|const|let) \w+ ?=|\breturn \w+;"
            r"|=> ?[{(]|\bSELECT [\w*]|<\?php|^#!/",
            *("def ", "function ", "#include", "import ", "public ", "console.", "print", "var "),
            *("const ", "let ", "return ", "=>", "SELECT ", "<?php", "#!/"),
            flags=re.MULTILINE,
        ),
    ),
    Sign(
        "calls in code",
        "code",
        1.5,
        _seen(r"\((?<=\w\()\)|\.\w+\(|\[(?<=\w\[)\w+\]|->\w|::\w|--[a-z]+="),
    ),
    Sign("names in code", "code", 1.8, _seen(r"[a-z][A-Z][a-z]|[a-z]_[a-z]")),
    Sign("markup", "code", 1.5, _seen(r"</?[a-zA-Z]\w*(?:>| [a-z-]+=|/>| />)")),
    Sign(
        "a file name",
        "code",
        1.5,
        _seen(
            r"[\w*]\.(?:py|js|ts|tsx|jsx|java|c|h|cpp|hpp|cs|go|rs|rb|php|html?|css|json|ya?ml|xml"
            r"|toml|ini|sh|sql|ipynb|vue|kt|swift|exe|dll|jar|csv|txt|log|md)\b"
        ),
    ),
    Sign(
        "an error from a program",
        "code",
        1.8,
        _seen(
            r"Traceback \(most|Exception in thread|[a-z](?:Error|Exception)\b|error: |panicked at"
            r"|core dumped|exit code \d",
            *("Traceback", "Exception", "Error", "error: ", "panicked", "dumped", "exit code"),
        ),
    ),
    Sign(
        "a formula",
        "reasoning",
        1.5,
        _seen(
            r"\d ?[-+*/^=\u00d7\u00f7<>≤≥] ?\d|\b[a-z] ?[=<>+^] ?-?\d|\d[a-z] ?[-+=]"
            r"|\b[a-z]\^\d|[∑∫√π∈≠≤≥]|\bf\(x\)|\$[^$\n]{1,80}\$"
            r"|\\(?:frac|sqrt|sum|int|begin|cdot|overline)\b"
        ),
    ),
    Sign("money or percent", "reasoning", 1.0, _seen(r"[$€£¥] ?\d|\d ?[$€£%]|\b(?:Rs|USD)\.? ?\d")),
    Sign("two numbers", "reasoning", 1.0, lambda text, tokens: len(_numbers(text)) >= 2),
    Sign("many numbers", "reasoning", 0.8, lambda text, tokens: len(_numbers(text)) >= 4),
    Sign(
        "answer options",
        "reasoning",
        2.0,
        _has_options,
    ),
    Sign("a question", "reasoning", 0.6, lambda text, tokens: text.rstrip()[-1:] in "?\uff1f"),
    Sign("a few words", "conversation", 1.0, lambda text, tokens: len(tokens) <= 4),
    Sign("a short message", "conversation", 0.5, lambda text, tokens: len(tokens) <= 8),
    Sign(
        "an exclamation", "conversation", 1.0, lambda text, tokens: text.rstrip()[-1:] in "!\uff01"
    ),
    Sign("a plain sentence", "conversation", 0.5, lambda text, tokens: text.rstrip()[-1:] == "."),
    Sign(
        "an emoji", "conversation", 1.0, _seen("[\U0001f300-\U0001faff\u2600-\u27bf]|[:;]-?[)(DP]")
    ),
    Sign("more than 40 words", "reasoning", 0.2, lambda text, tokens: len(tokens) > 40),
)
