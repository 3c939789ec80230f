"""Signs of code in a prompt: definitions, calls, names, markup, file names, errors."""

from llm_router.classify.sign import Search, Sign, has_one, search

_BLOCK = Sign("code", "a code block", 2.0)
_LINES = Sign("code", "lines of code", 1.5)
_DEFINITION = Sign("code", "a definition in code", 2.0)
_CALLS = Sign("code", "calls in code", 1.5)
_NAMES = Sign("code", "names in code", 1.8)
_MARKUP = Sign("code", "markup", 1.5)
_FILE_NAME = Sign("code", "a file name", 1.5)
_ERROR = Sign("code", "an error from a program", 1.8)

_line_end = search(r"[;{}] ?(?:\n|$)")
_empty_call = search(r"\((?<=\w\()\)")
_method_call = search(r"\.\w+\(")
_index = search(r"\[(?<=\w\[)\w+\]")
_pointed = search(r"->\w")
_scoped = search(r"::\w")
_flag = search(r"--[a-z]+=")
_snake_case = search(r"_(?<=[a-z]_)[a-z]")
_markup = search(r"</?[a-zA-Z]\w*(?:>| [a-z-]+=|/>| />)")
_file_name = search(
    r"\.(?<=[\w*]\.)(?:py|js|ts|tsx|jsx|java|c|h|cpp|hpp|cs|go|rs|rb|php|html?|css|json|ya?ml|xml"
    r"|toml|ini|sh|sql|ipynb|vue|kt|swift|exe|dll|jar|csv|txt|log|md)\b"
)
_named_error = search(r"Error(?<=[a-z]Error)\b|Exception(?<=[a-z]Exception)\b")
_exit_code = search(r"exit code \d")

_import = search(r"import(?<=\bimport) [\w.{*]+(?:;|\n| as | from )")
_from_import = search(r"from(?<=\bfrom) [\w.]+ import\b")
_public = search(r"public(?<=\bpublic) (?:static|class|void|int)\b")
_select = search(r"SELECT(?<=\bSELECT) [\w*]")


def _word(word: str, pattern: str) -> tuple[str, Search]:
    return word, search(rf"{word}(?<=\b{word}){pattern}")


# What else makes a word a definition, by a mark that it needs.
_OF_A_CALL = (
    _word("def ", r"\w+ ?\("),
    _word("function ", r"\w* ?\("),
    _word("console", r"\.log\("),
    _word("print", r"(?:ln|f)?\("),
)
_OF_A_VALUE = tuple(_word(word, r"\w+ ?=") for word in ("var ", "const ", "let "))
_OF_A_LINE = (
    _word("return ", r"\w+;"),
    ("#include", search(r"#include ?[<\"]")),
    ("#!/", search(r"(?m:^)#!/")),
)
_arrow = search(r"=> ?[{(]")


def add_code(text: str, shape: str, operators: str, numbers: int, found: list[Sign]) -> None:
    """Add the signs of code that a text of that shape, with those operators, shows to `found`."""
    has_rare, has_colon = "(" in shape, ":" in shape
    is_mixed = "aA" in shape
    if has_rare:
        if "```" in text:
            found.append(_BLOCK)
        if (";" in text or "{" in text or "}" in text) and _line_end(text):
            found.append(_LINES)
    if (
        _is_defined_in_words(text)
        or (has_rare and _is_defined_with_marks(text))
        or (operators and _is_defined_as(text, operators))
    ):
        found.append(_DEFINITION)
    if (
        (has_rare and _is_called(text))
        or ("-" in operators and _is_pointed_at(text))
        or (has_colon and "::" in text and _scoped(text))
    ):
        found.append(_CALLS)
    if (is_mixed and "aAa" in shape) or (has_rare and "_" in text and _snake_case(text)):
        found.append(_NAMES)
    if "<" in operators and _markup(text):
        found.append(_MARKUP)
    if ".a" in shape and _file_name(text):
        found.append(_FILE_NAME)
    if (
        (is_mixed and _named_error(text))
        or (has_colon and "error: " in text)
        or (has_rare and "Traceback (most" in text)
        or "Exception in thread" in text
        or "panicked at" in text
        or "core dumped" in text
        or (numbers and "exit code " in text and _exit_code(text))
    ):
        found.append(_ERROR)


def _is_defined_in_words(text: str) -> object:
    return (
        ("import" in text and (_from_import(text) or _import(text)))
        or ("public " in text and _public(text))
        or ("SELECT " in text and _select(text))
    )


def _is_defined_with_marks(text: str) -> bool:
    return ("(" in text and has_one(_OF_A_CALL, text)) or (
        (";" in text or "#" in text) and has_one(_OF_A_LINE, text)
    )


def _is_defined_as(text: str, operators: str) -> object:
    return (
        "=" in operators and (has_one(_OF_A_VALUE, text) or (">" in operators and _arrow(text)))
    ) or ("<" in operators and "<?php" in text)


def _is_called(text: str) -> object:
    return (
        "(" in text
        and (("()" in text and _empty_call(text)) or ("." in text and _method_call(text)))
    ) or ("[" in text and _index(text))


def _is_pointed_at(text: str) -> object:
    return ("->" in text and _pointed(text)) or ("--" in text and _flag(text))
