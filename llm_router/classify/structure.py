"""Signs in a prompt's form: code, formulas, answer options, length. No words of any language.

Most prompts show few of them, so a pattern is searched only in a text with characters that it
needs, and begins with the rarest of them, looking back at what comes before: the search then
leaps from one such character to the next. No pattern holds nested quantifiers, and no repetition
starts where another one of the same characters could, so each is linear in the clipped text.
"""

import re
from collections.abc import Callable, Iterator, Sequence

Sign = tuple[str, float]  # its name, and about how much it multiplies the odds, as a logarithm
Search = Callable[[str], object]


def _search(pattern: str, flags: int = 0) -> Search:
    return re.compile(pattern, flags).search


_line_end = _search(r"[;{}] ?(?:\n|$)")
_call = _search(r"\((?<=\w\()\)|\.\w+\(|\[(?<=\w\[)\w+\]|->\w|::\w|--[a-z]+=")
# By letter case: a small letter, a capital, anything else.
_CASES = bytes(97 if 97 <= code < 123 else 65 if 65 <= code < 91 else 32 for code in range(256))
_snake_case = _search(r"_(?<=[a-z]_)[a-z]")
_markup = _search(r"</?[a-zA-Z]\w*(?:>| [a-z-]+=|/>| />)")
_file_name = _search(
    r"\.(?<=[\w*]\.)(?:py|js|ts|tsx|jsx|java|c|h|cpp|hpp|cs|go|rs|rb|php|html?|css|json|ya?ml|xml"
    r"|toml|ini|sh|sql|ipynb|vue|kt|swift|exe|dll|jar|csv|txt|log|md)\b"
)
_error = _search(
    r"Traceback \(most|Exception in thread|Error(?<=[a-z]Error)\b|Exception(?<=[a-z]Exception)\b"
    r"|error: |panicked at|core dumped|exit code \d"
)
_ERRORS = ("error", "exception", "traceback", "panicked", "dumped", "exit code")
# What makes a word a definition in code. By the word, because few texts have any of them.
_DEFINITIONS = {
    word.lower(): _search(rf"{word}(?<=\b{word})(?:{rest})")
    for word, rest in (
        ("def", r" \w+ ?\("),
        ("function", r" \w* ?\("),
        ("include", r"(?<=#include) ?[<\"]"),
        ("from", r" [\w.]+ import\b"),
        ("import", r" [\w.{*]+(?:;|\n| as | from )"),
        ("public", r" (?:static|class|void|int)\b"),
        ("console", r"\.log\("),
        ("print", r"\("),
        ("println", r"\("),
        ("printf", r"\("),
        ("var", r" \w+ ?="),
        ("const", r" \w+ ?="),
        ("let", r" \w+ ?="),
        ("return", r" \w+;"),
        ("SELECT", r" [\w*]"),
    )
}
_arrow = _search(r"=> ?[{(]")
_shebang = _search(r"#!/(?<=^#!/)", re.MULTILINE)

_DIGITS = bytes(code if 48 <= code < 58 else 32 for code in range(256))
_numbers = re.compile(r"\d+").findall
_operation = _search(
    r"[-+*/^=\u00d7\u00f7<>≤≥](?:(?:(?<=\d.)|(?<=\d .)) ?\d"
    r"|(?<=[=<>+^])(?:(?<=\b[a-z].)|(?<=\b[a-z] .)) ?-?\d"
    r"|(?<=[-+=])(?:(?<=\d[a-z].)|(?<=\d[a-z] .)))"
)
_math_sign = _search("[∑∫√π∈≠≤≥]")
_notation = _search(
    r"\$[^$\n]{1,80}\$|\\(?:frac|sqrt|sum|int|begin|cdot|overline)\b|f\((?<=\bf\()x\)"
)
_amount = _search(
    r"[$€£¥%RU](?:(?<=[$€£¥]) ?\d|(?<=[$€£%])(?:(?<=\d.)|(?<=\d .))"
    r"|(?:(?<=\bR)s|(?<=\bU)SD)\.? ?\d)"
)
_option_a = _search(r"[).\uff09\uff0e\u3001](?:(?<=(?<!\S)[Aa].)|(?<=(?<!\S)\([Aa].)) ?\S")
_option_b = _search(r"[).\uff09\uff0e\u3001](?:(?<=(?<!\S)[Bb].)|(?<=(?<!\S)\([Bb].)) ?\S")

_emoji = _search("[\U0001f300-\U0001faff\u2600-\u27bf]")
_smiley = _search("[:;]-?[)(DP]")


def _code(text: str, lower: str, tokens: Sequence[str]) -> Iterator[Sign]:
    if "```" in text:
        yield "a code block", 2.0
    if (";" in text or "{" in text or "}" in text) and _line_end(text):
        yield "lines of code", 1.5
    if _has_definition(text, tokens):
        yield "a definition in code", 2.0
    if _may_have_call(text) and _call(text):
        yield "calls in code", 1.5
    if _has_camel_case(text) or ("_" in text and _snake_case(text)):
        yield "names in code", 1.8
    if "<" in text and _markup(text):
        yield "markup", 1.5
    if "." in text and _file_name(text):
        yield "a file name", 1.5
    for mark in _ERRORS:
        if mark in lower:
            if _error(text):
                yield "an error from a program", 1.8
            break


def _has_camel_case(text: str) -> bool:
    return b"aAa" in text.encode("ascii", "replace").translate(_CASES)


def _has_definition(text: str, tokens: Sequence[str]) -> object:
    for word in _DEFINITIONS.keys() & tokens:
        if _DEFINITIONS[word](text):
            return True
    return ("=>" in text and _arrow(text)) or "<?php" in text or ("#!/" in text and _shebang(text))


def _may_have_call(text: str) -> bool:
    return "(" in text or "[" in text or "->" in text or "::" in text or "--" in text


def _reasoning(text: str, lower: str, tokens: Sequence[str]) -> Iterator[Sign]:
    numbers = count_numbers(text)
    if _has_formula(text, numbers):
        yield "a formula", 1.5
    if numbers and _may_have_amount(text) and _amount(text):
        yield "money or percent", 1.0
    if numbers >= 2:
        yield "two numbers", 1.0
        if numbers >= 4:
            yield "many numbers", 0.8
    if _may_have_options(lower) and _option_b(text) and _option_a(text):
        yield "answer options", 2.0
    if text.rstrip().endswith(("?", "\uff1f")):
        yield "a question", 0.6
    if len(tokens) > 40:
        yield "more than 40 words", 0.2


def _may_have_options(lower: str) -> bool:
    if "b)" in lower or "b." in lower:
        return True
    return not lower.isascii() and ("b\u3001" in lower or "b\uff0e" in lower or "b\uff09" in lower)


def count_numbers(text: str) -> int:
    if text.isascii():
        return len(text.encode().translate(_DIGITS).split())
    return len(_numbers(text))


def _has_formula(text: str, numbers: int) -> object:
    return (
        (numbers and _operation(text))
        or (not text.isascii() and _math_sign(text))
        or (("$" in text or "\\" in text or "f(x)" in text) and _notation(text))
    )


def _may_have_amount(text: str) -> bool:
    return "$" in text or "%" in text or "Rs" in text or "USD" in text or not text.isascii()


def _conversation(text: str, lower: str, tokens: Sequence[str]) -> Iterator[Sign]:
    if len(tokens) <= 8:
        if len(tokens) <= 4:
            yield "a few words", 1.0
        yield "a short message", 0.5
    last = text.rstrip()[-1:]
    if last in ("!", "\uff01"):
        yield "an exclamation", 1.0
    elif last == ".":
        yield "a plain sentence", 0.5
    if (not text.isascii() and _emoji(text)) or ((":" in text or ";" in text) and _smiley(text)):
        yield "an emoji", 1.0


# By category: the signs that a text, its lower case and its tokens show.
SIGNS: dict[str, Callable[[str, str, Sequence[str]], Iterator[Sign]]] = {
    "code": _code,
    "reasoning": _reasoning,
    "conversation": _conversation,
}
