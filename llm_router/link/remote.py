"""What a worker has in place of what only the ledger process can do: each asks over the link."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from llm_router.errors import StorageError
from llm_router.ledger.entry import BreakerChanged
from llm_router.link.client import Link
from llm_router.link.messages import (
    ChangeConfig,
    ClaimProbe,
    Done,
    Flush,
    InForce,
    Outdated,
    Peers,
    Pulse,
    RollBack,
    Standing,
)
from llm_router.load import Load
from llm_router.routing import document
from llm_router.routing.config import ConfigHolder, RoutingConfig
from llm_router.routing.merge import Claimed
from llm_router.storage.config import Edit, Version, history, refresh
from llm_router.storage.follow import Marks
from llm_router.storage.readable import Readable

log = logging.getLogger(__name__)

PULSE_S = 0.5
SILENT_S = 5.0


class RemoteConfig:
    """Fits what the routes ask of a `ConfigStore`."""

    def __init__(self, link: Link, database: Readable, holder: ConfigHolder) -> None:
        self._link = link
        self._database = database
        self._holder = holder

    async def change(self, actor: str, action: str, edit: Edit) -> RoutingConfig:
        """Apply `edit` to the newest version, and again if that is another one by then."""
        while True:
            before = await refresh(self._database, self._holder)
            after = edit(before)
            if document.to_dict(after) == document.to_dict(before):
                return before
            wanted = ChangeConfig(actor, action, document.to_dict(after), before.version)
            answer = await self._link.ask(wanted, InForce, Outdated)
            if isinstance(answer, InForce):
                return self._in_force(answer)

    async def rollback(self, version: int, actor: str) -> RoutingConfig:
        return self._in_force(await self._link.ask(RollBack(actor, version), InForce))

    async def history(self, limit: int = 50) -> list[Version]:
        return await history(self._database, limit)

    def _in_force(self, answer: InForce) -> RoutingConfig:
        config = document.parse(answer.document, version=answer.version)
        self._holder.advance(config)
        return config


class RemoteRows:
    """Fits what the routes ask of an `Ingestor`, and knows what the other workers are doing."""

    def __init__(self, link: Link, own: Callable[[], Load]) -> None:
        self.others = Load()
        self._link = link
        self._own = own
        self._is_failing = False
        self._seen = (0, 0)  # the configuration's version, the serial of the last breaker's row
        self._news = asyncio.Event()

    @property
    def is_failing(self) -> bool:
        return self._is_failing or not self._link.is_up

    async def flush(self) -> None:
        """StorageError if the rows cannot be written now."""
        await self._link.ask(Flush(), Done)

    async def share(self) -> None:
        """Have all workers act on what all of them journaled. StorageError as above."""
        await self._link.ask(Flush(is_shared=True), Done)

    def seen(self, marks: Marks) -> None:
        """Tell soon that this worker acts on what is written up to there."""
        seen = (marks["config"] or 0, marks["breakers"] or 0)
        if seen != self._seen:
            self._seen = seen
            self._news.set()

    async def run(self) -> None:
        """Tell and hear how things are; a task."""
        is_silent = False
        while True:
            try:
                pulse = Pulse(self._own(), *self._seen)
                peers = await self._link.ask(pulse, Peers, timeout_s=SILENT_S)
            except StorageError:
                self.others, self._is_failing = Load(), True
                if self._link.is_up and not is_silent:  # else it is being started again
                    is_silent = True
                    log.error("rows wait in the journals: the ledger process is silent")
            else:
                self.others, self._is_failing = peers.others, peers.is_failing
                if is_silent:
                    is_silent = False
                    log.warning("the ledger process answers again")
            with suppress(TimeoutError):
                async with asyncio.timeout(PULSE_S):
                    await self._news.wait()
            self._news.clear()


class RemoteClaims:
    """Fits `routing.probes.Claims`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def claim(
        self, moves: Sequence[BreakerChanged], since: Mapping[str, int]
    ) -> Claimed | None:
        question = ClaimProbe(list(moves), dict(since))
        try:
            answer = await self._link.ask(question, Standing)
        except StorageError:
            return None
        return Claimed(answer.is_granted, tuple(answer.rows), answer.is_unwritten)
