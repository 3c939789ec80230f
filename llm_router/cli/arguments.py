"""Types of arguments: what cannot be used is wrong usage, and argparse says what can be."""

import argparse
from collections.abc import Callable

from llm_router.clock import SystemClock
from llm_router.ledger.period import parse_moment


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return a type for whole numbers within bounds."""

    def parse(text: str) -> int:
        # As many digits as the bound has: int() refuses very long texts in words of its own.
        if text.isascii() and text.isdigit() and len(text) <= len(str(most)):
            number = int(text)
            if least <= number <= most:
                return number
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number from {least} to {most}")

    return parse


def moment(text: str) -> str:
    """Return UTC text for `2026-01-31`, `7d` and the like."""
    try:
        return parse_moment(text, SystemClock().wall())
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc
