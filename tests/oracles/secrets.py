"""Words that must not be said: looked for in everything a router wrote or answered."""

from collections.abc import Iterable, Mapping
from pathlib import Path


def written_under(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder: the database, its WAL, the journals, the log."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def leaks(secrets: Iterable[str], places: Mapping[str, bytes]) -> list[str]:
    """Return where a secret stands, by its first letters only."""
    return [
        f"{secret[:12]}… stands in {place}"
        for secret in secrets
        for place, text in places.items()
        if secret.encode() in text
    ]
