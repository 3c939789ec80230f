"""The model list as last seen, so that a start without network knows it, and prices over time."""

import sqlite3
from datetime import datetime

import msgspec

from llm_router.clock import utc_text
from llm_router.routing.catalog import Catalog, read_model
from llm_router.storage.readable import Readable
from llm_router.storage.sqlite import Database
from llm_router.storage.trouble import trusting


class ModelStorage:
    """Fits what `upstream/models.py` asks of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fetched_at(self) -> float | None:
        """Return when the stored list was fetched, in unix seconds; None if there is none."""
        rows = await self._database.read("SELECT fetched_at FROM models LIMIT 1")
        return datetime.fromisoformat(rows[0][0]).timestamp() if rows else None

    async def load(self) -> Catalog:
        """Return the stored list; an empty catalog if there is none."""
        return await load_catalog(self._database)

    async def save(self, catalog: Catalog) -> None:
        """Replace the list, and note each price that is not the latest one known."""
        at = utc_text(catalog.fetched_at or 0.0)

        def replace(db: sqlite3.Connection) -> None:
            known = _latest_prices(db)
            db.execute("DELETE FROM models")
            db.executemany(
                "INSERT INTO models (id, document, fetched_at) VALUES (?, ?, ?)",
                [(model.id, _json(model.raw), at) for model in catalog.models],
            )
            db.executemany(
                "INSERT OR REPLACE INTO prices (model, valid_from, pricing) VALUES (?, ?, ?)",
                [
                    (model.id, at, pricing)
                    for model in catalog.models
                    if (pricing := _json(model.pricing)) != known.get(model.id)
                ],
            )

        await self._database.transact(replace)


async def load_catalog(database: Readable) -> Catalog:
    """Return the stored list; an empty catalog if there is none."""
    rows = await database.read("SELECT document, fetched_at FROM models ORDER BY rowid")
    if not rows:
        return Catalog()
    with trusting("models"):
        models = (read_model(msgspec.json.decode(row["document"])) for row in rows)
        fetched_at = datetime.fromisoformat(rows[0]["fetched_at"]).timestamp()
        return Catalog((model for model in models if model is not None), fetched_at=fetched_at)


def _latest_prices(db: sqlite3.Connection) -> dict[str, str]:
    # Beside max(), SQLite takes a bare column from the row that has the maximum
    # (https://sqlite.org/lang_select.html#bareagg).
    rows = db.execute("SELECT model, pricing, max(valid_from) FROM prices GROUP BY 1")
    return {row[0]: row[1] for row in rows}


def _json(value: object) -> str:
    """Write JSON with its keys sorted, so that equal prices are equal text."""
    return msgspec.json.encode(value, order="sorted").decode()
