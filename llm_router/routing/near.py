"""Names that resemble one that nobody knows, and the words in which they are offered."""

import difflib
from collections.abc import Iterable

_LONGEST_NAME = 96  # comparing names is quadratic, and a client chooses this one


def near_names(
    name: str, known: Iterable[str], n: int = 3, *, least: float = 0.6
) -> tuple[str, ...]:
    """Return up to `n` of the known ids whose name resembles this one, whatever the vendor.

    `least` is how much of it, from 0 to 1.
    """
    vendor, _, wanted = name.lower()[:_LONGEST_NAME].rpartition("/")
    by_name: dict[str, list[str]] = {}
    for id_ in known:
        by_name.setdefault(id_.lower().rpartition("/")[2], []).append(id_)
    matches = difflib.get_close_matches(wanted, by_name, n, least)
    # Of equal names the one from the vendor that was asked for comes first, an alias from none.
    found = (
        id_
        for match in matches
        for id_ in sorted(by_name[match], key=lambda id_: (_vendor(id_) != vendor, id_))
    )
    return tuple(found)[:n]


def did_you_mean(near: Iterable[str]) -> str:
    """Return a sentence to add to a message, or nothing where nothing is near."""
    names = ", ".join(near)
    return f" Did you mean {names}?" if names else ""


def or_near(name: str, known: Iterable[str], *, least: float = 0.6) -> str:
    """Return the same as the end of a sentence: `; did you mean a or b?`."""
    names = " or ".join(near_names(name, known, least=least))
    return f"; did you mean {names}?" if names else ""


def _vendor(id_: str) -> str:
    return id_.lower().rpartition("/")[0]
