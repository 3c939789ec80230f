"""Signs in a prompt's form: code, formulas, answer options, length. No words of any language.

Most prompts show few of them, so a pattern is searched only in a text that has what it needs, and
begins with the rarest of that, looking back at what comes before: the search then leaps from one
such place to the next. No pattern holds nested quantifiers, and no repetition starts where another
one of the same characters could, so each is linear in the clipped text.
"""

import re
from collections.abc import Sized

from msgspec import Struct

from llm_router.classify.code_signs import add_code
from llm_router.classify.sign import OPERATORS, Search, Sign, has_one, search, shape_of

_FORMULA = Sign("reasoning", "a formula", 1.5)
_AMOUNT = Sign("reasoning", "money or percent", 1.0)
_TWO_NUMBERS = Sign("reasoning", "two numbers", 1.0)
_MANY_NUMBERS = Sign("reasoning", "many numbers", 0.8)
_OPTIONS = Sign("reasoning", "answer options", 2.0)
_QUESTION = Sign("reasoning", "a question", 0.6)
_LONG = Sign("reasoning", "more than 40 words", 0.2)
_FEW_WORDS = Sign("conversation", "a few words", 1.0)
_SHORT = Sign("conversation", "a short message", 0.5)
_EXCLAMATION = Sign("conversation", "an exclamation", 1.0)
_SENTENCE = Sign("conversation", "a plain sentence", 0.5)
_EMOJI = Sign("conversation", "an emoji", 1.0)

_DIGITS = bytes(code if 48 <= code < 58 else 32 for code in range(256))
_numbers = re.compile(r"\d\d*").findall  # twice as fast as \d+: it leaps to the first digit
# By the operator: between numbers, after a letter, after a number and a letter.
_BETWEEN = r"(?:(?<=\d.)|(?<=\d .)) ?\d"
_AFTER_LETTER = r"(?:(?<=\b[a-z].)|(?<=\b[a-z] .)) ?-?\d"
_AFTER_BOTH = r"(?:(?<=\d[a-z].)|(?<=\d[a-z] .))"


def _operation(operator: str) -> tuple[str, Search]:
    places = [_BETWEEN]
    if operator in "=<>+^":
        places.append(_AFTER_LETTER)
    if operator in "-+=":
        places.append(_AFTER_BOTH)
    return operator, search(rf"{re.escape(operator)}(?:{'|'.join(places)})")


_OPERATIONS = {operator: _operation(operator)[1] for operator in OPERATORS.decode()}
_NO_OPERATORS = bytes(code for code in range(256) if code not in OPERATORS)
_FURTHER_OPERATIONS = tuple(map(_operation, "\u00d7\u00f7≤≥"))
_math_sign = search("[∑∫√π∈≠≤≥]")
_formula_in_dollars = search(r"\$[^$\n]{1,80}\$")
_command = search(r"\\(?:frac|sqrt|sum|int|begin|cdot|overline)\b")
_function_of_x = search(r"f\((?<=\bf\()x\)")
_AMOUNTS = (
    ("$", search(r"\$(?: ?\d|(?<=\d.)|(?<=\d .))")),
    ("%", search(r"%(?:(?<=\d.)|(?<=\d .))")),
    ("Rs", search(r"Rs(?<=\bRs)\.? ?\d")),
    ("USD", search(r"USD(?<=\bUSD)\.? ?\d")),
)
_FURTHER_AMOUNTS = (
    ("€", search(r"€(?: ?\d|(?<=\d.)|(?<=\d .))")),
    ("£", search(r"£(?: ?\d|(?<=\d.)|(?<=\d .))")),
    ("¥", search(r"¥ ?\d")),
)
_option_a = search(r"[).\uff09\uff0e\u3001](?:(?<=(?<!\S)[Aa].)|(?<=(?<!\S)\([Aa].)) ?\S")
_option_b = search(r"[).\uff09\uff0e\u3001](?:(?<=(?<!\S)[Bb].)|(?<=(?<!\S)\([Bb].)) ?\S")

_emoji = search("[\U0001f300-\U0001faff\u2600-\u27bf]")
_smiley = search(":-?[)(DP]")
_winking = search(";-?[)(DP]")


class Form(Struct, frozen=True, gc=False):
    """The signs of a text, by category, and how many numbers in digits it has."""

    signs: list[Sign]
    numbers: int


def form_of(text: str, words: Sized) -> Form:
    is_ascii = text.isascii()
    encoded = text.encode() if is_ascii else text.encode("ascii", "replace")
    shape = shape_of(encoded)
    operators = encoded.translate(None, _NO_OPERATORS).decode() if "+" in shape else ""
    if is_ascii:
        numbers = len(encoded.translate(_DIGITS).split()) if "0" in shape else 0
    else:
        numbers = len(_numbers(text))
    found: list[Sign] = []
    add_code(text, shape, operators, numbers, found)
    if (
        (operators and numbers and _has_operation(text, operators))
        or ("(" in shape and _has_notation(text))
        or (not is_ascii and _has_further_formula(text, numbers))
    ):
        found.append(_FORMULA)
    if numbers:
        if has_one(_AMOUNTS, text) or (not is_ascii and has_one(_FURTHER_AMOUNTS, text)):
            found.append(_AMOUNT)
        if numbers >= 2:
            found.append(_TWO_NUMBERS)
            if numbers >= 4:
                found.append(_MANY_NUMBERS)
    if _may_have_options(text, shape, is_ascii) and _option_b(text) and _option_a(text):
        found.append(_OPTIONS)
    last, length = text.rstrip()[-1:], len(words)
    if last in ("?", "\uff1f"):
        found.append(_QUESTION)
    if length > 40:
        found.append(_LONG)
    elif length <= 8:
        if length <= 4:
            found.append(_FEW_WORDS)
        found.append(_SHORT)
    if last in ("!", "\uff01"):
        found.append(_EXCLAMATION)
    elif last == ".":
        found.append(_SENTENCE)
    if (
        (":" in shape and _smiley(text))
        or ("(" in shape and ";" in text and _winking(text))
        or (not is_ascii and _emoji(text))
    ):
        found.append(_EMOJI)
    return Form(found, numbers)


def _has_operation(text: str, operators: str) -> bool:
    for operator in set(operators):  # noqa: SIM110 - a generator takes twice as long
        if _OPERATIONS[operator](text):
            return True
    return False


def _has_notation(text: str) -> object:
    return (
        ("$" in text and _formula_in_dollars(text))
        or ("\\" in text and _command(text))
        or ("f(x)" in text and _function_of_x(text))
    )


def _has_further_formula(text: str, numbers: int) -> object:
    return (numbers and has_one(_FURTHER_OPERATIONS, text)) or _math_sign(text)


def _may_have_options(text: str, shape: str, is_ascii: bool) -> bool:
    if ("(" in shape and ("b)" in text or "B)" in text)) or (
        "." in shape and ("b." in text or "B." in text)
    ):
        return True
    if is_ascii:
        return False
    return any(f"{letter}{mark}" in text for letter in "bB" for mark in "\u3001\uff0e\uff09")
