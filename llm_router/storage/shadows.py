"""What a shadow classifier said, one row a request."""

import sqlite3
from collections.abc import Sequence

from msgspec.structs import astuple

from llm_router.clock import utc_text
from llm_router.ledger.entry import ShadowDecided
from llm_router.storage.inserts import Insert

_FIELDS = ShadowDecided.__struct_fields__
_ADD = Insert(f"shadow_decisions ({', '.join(_FIELDS)})", len(_FIELDS), "ON CONFLICT DO NOTHING")


def write(db: sqlite3.Connection, entries: Sequence[ShadowDecided]) -> None:
    """Add them, inside the caller's transaction."""
    rows = []
    for entry in entries:
        request_id, at, *said = astuple(entry)
        rows.append((request_id, utc_text(at), *said))
    _ADD.write(db, rows)
