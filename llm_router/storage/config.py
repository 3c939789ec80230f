"""Versions of the configuration: every change is a whole document, and the highest is in force.

Changes are applied one after another, each to what the one before it left, inside the writer's
transaction; so two people who change it at once both get their way, and nobody's half is lost.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from llm_router.clock import utc_text
from llm_router.errors import DocumentError, NotFound, RouterError, StorageError
from llm_router.routing import document
from llm_router.routing.config import ConfigHolder, RoutingConfig
from llm_router.routing.document import Change
from llm_router.storage.readable import Readable
from llm_router.storage.sqlite import Database
from llm_router.storage.trouble import trusting
from llm_router.tasks import spawn

Edit = Callable[[RoutingConfig], RoutingConfig]

_MOST_COMPARED = 500
_NONE_YET = "the database has no configuration yet; start the server once"
_NEWEST = "SELECT version, document FROM config_versions ORDER BY version DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Version:
    """Who made it, when and how, and what it changed against the version before it."""

    version: int
    at: str
    actor: str
    action: str
    changes: tuple[Change, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON shows it, over HTTP and on the command line."""
        return {
            "version": self.version,
            "at": self.at,
            "actor": self.actor,
            "action": self.action,
            "changes": [change.as_dict() for change in self.changes],
        }


class ConfigVersions(Protocol):
    """What can be done with versions; `ConfigStore` says what each does."""

    async def change(self, actor: str, action: str, edit: Edit) -> RoutingConfig: ...
    async def rollback(self, version: int, actor: str) -> RoutingConfig: ...
    async def history(self, limit: int = 50) -> list[Version]: ...


class ConfigStore:
    """The versions in the database, and the holder that always has the newest of them."""

    def __init__(
        self, database: Database, holder: ConfigHolder, *, wall: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._holder = holder
        self._wall = wall

    async def load_or_seed(self, seed: RoutingConfig) -> RoutingConfig:
        """Put the newest version in force; an empty database gets `seed` as its version 1."""

        def job(db: sqlite3.Connection) -> RoutingConfig:
            return _newest(db) or self._append(db, "start", "seed", seed, 0)

        return self._in_force(await self._database.transact(job))

    async def change(self, actor: str, action: str, edit: Edit) -> RoutingConfig:
        """Apply `edit` to the newest version and return what is in force then, already durable.

        `edit` runs inside the transaction: what it raises undoes everything and is raised here.
        An edit that changes nothing makes no version. StorageError leaves the old one in force.
        """

        def job(db: sqlite3.Connection) -> RoutingConfig:
            current = _newest(db)
            if current is None:
                raise StorageError(_NONE_YET)
            after = edit(current)
            if document.to_dict(after) == document.to_dict(current):
                return current
            return self._append(db, actor, action, after, current.version)

        return await self._commit(job)

    async def rollback(self, version: int, actor: str) -> RoutingConfig:
        """Put an older version's document in force again, as a new version."""

        def job(db: sqlite3.Connection) -> RoutingConfig:
            rows = db.execute(
                "SELECT version, document FROM config_versions WHERE version = ?", (version,)
            )
            for row in rows:
                old, newest = _parsed(row), _newest_version(db)
                if version == newest:
                    return old
                return self._append(db, actor, f"rollback to {version}", old, newest)
            raise NotFound(f"There is no version {version} of the configuration.")

        return await self._commit(job)

    async def history(self, limit: int = 50) -> list[Version]:
        return await history(self._database, limit)

    def _append(
        self,
        db: sqlite3.Connection,
        actor: str,
        action: str,
        config: RoutingConfig,
        newest: int,
    ) -> RoutingConfig:
        config = RoutingConfig(newest + 1, config.categories, config.aliases)
        text = json.dumps(document.to_dict(config), ensure_ascii=False, separators=(",", ":"))
        db.execute(
            "INSERT INTO config_versions (version, created_at, actor, action, document) "
            "VALUES (?, ?, ?, ?, ?)",
            (config.version, utc_text(self._wall()), actor, action, text),
        )
        return config

    async def _commit(self, job: Callable[[sqlite3.Connection], RoutingConfig]) -> RoutingConfig:
        """Run a job to its end and put its result in force, even if the caller goes away."""

        async def run() -> RoutingConfig | RouterError:
            try:
                return self._in_force(await self._database.transact(job))
            except RouterError as exc:
                return exc  # the caller's to raise, not the task's to log

        result = await asyncio.shield(spawn(run(), name="config-change"))
        if isinstance(result, RouterError):
            raise result
        return result

    def _in_force(self, config: RoutingConfig) -> RoutingConfig:
        self._holder.current = config
        return config


async def current(database: Readable) -> RoutingConfig | None:
    """Return the newest version, or None where there is none yet."""
    rows = await database.read(_NEWEST)
    return _parsed(rows[0]) if rows else None


async def was_in_force(database: Readable, config: RoutingConfig) -> bool:
    """Return whether some version said the same: the first, or one of the latest hundreds."""
    rows = await database.read(
        "SELECT version, document FROM config_versions ORDER BY version = 1 DESC, version DESC "
        "LIMIT ?",
        (_MOST_COMPARED,),
    )
    wanted = document.to_dict(config)
    return any(document.to_dict(_parsed(row)) == wanted for row in rows)


async def refresh(database: Readable, holder: ConfigHolder) -> RoutingConfig:
    """Put in force, and return, the newest version that another process has written."""
    newest = await current(database)
    if newest is None:
        raise StorageError(_NONE_YET)
    holder.advance(newest)
    return newest


async def history(database: Readable, limit: int = 50) -> list[Version]:
    """Return the latest versions, newest first."""
    rows = await database.read(
        "SELECT version, created_at, actor, action, document FROM config_versions "
        "ORDER BY version DESC LIMIT ?",
        (limit + 1,),
    )
    with trusting("the configuration"):
        documents = [json.loads(row["document"]) for row in rows]
    befores = [*documents[1:], {}]
    return [
        Version(
            row["version"],
            row["created_at"],
            row["actor"],
            row["action"],
            tuple(document.changes(before, after)),
        )
        for row, before, after in zip(rows[:limit], befores, documents, strict=False)
    ]


def _newest(db: sqlite3.Connection) -> RoutingConfig | None:
    for row in db.execute(_NEWEST):
        return _parsed(row)
    return None


def _newest_version(db: sqlite3.Connection) -> int:
    [row] = db.execute("SELECT max(version) FROM config_versions")
    return int(row[0])


def _parsed(row: sqlite3.Row) -> RoutingConfig:
    try:
        with trusting("the configuration"):
            return document.parse(json.loads(row["document"]), version=row["version"])
    except DocumentError as exc:
        raise StorageError(
            f"version {row['version']} of the configuration cannot be used: {exc}. "
            "Choose another with `llm-router config rollback VERSION`"
        ) from exc
