"""The ledger process's end of the link: it does for all workers what only one process may do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from llm_router import platform
from llm_router.clock import Clock
from llm_router.errors import Conflict, NotFound, RouterError, StorageError
from llm_router.ledger.ingest import Rows
from llm_router.link import address
from llm_router.link.claims import ProbeClaims
from llm_router.link.messages import (
    Answer,
    ChangeConfig,
    ClaimProbe,
    Done,
    Flush,
    InForce,
    Outdated,
    Peers,
    Pulse,
    Question,
    Refused,
    RollBack,
    pack_answer,
    read_payload,
)
from llm_router.load import Load
from llm_router.routing import document
from llm_router.routing.config import RoutingConfig
from llm_router.storage.config import ConfigVersions
from llm_router.storage.follow import marks_now
from llm_router.storage.sqlite import Database
from llm_router.tasks import launch, spawn

SHARED_S = 1.0  # a worker that hangs must not hold up who changes something elsewhere


@dataclass(eq=False)
class _Worker:
    """One connection: what its worker said last."""

    listening: asyncio.Task[Any] | None
    pulse: Pulse = field(default_factory=partial(Pulse, Load()))
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Desk:
    """Answers every worker's questions. Made by `open_desk`."""

    def __init__(
        self, database: Database, rows: Rows, configs: ConfigVersions, clock: Clock
    ) -> None:
        self._database = database
        self._rows = rows
        self._configs = configs
        self._decode = msgspec.msgpack.Decoder(tuple[int, float, Question]).decode
        self._workers: set[_Worker] = set()
        self._claims = ProbeClaims(database, rows, clock)
        self._alone = asyncio.Event()
        self._alone.set()
        self._pulses = asyncio.Condition()

    def welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one worker, in a task of ours: Python 3.11 complains when one of its own ends."""
        launch(self._serve(reader, writer), name="desk-line")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one worker until it hangs up, which is also how its death is noticed."""
        worker = _Worker(asyncio.current_task())
        self._workers.add(worker)
        self._alone.clear()
        try:
            with suppress(EOFError, OSError, msgspec.DecodeError):
                while True:
                    number, until, question = self._decode(await read_payload(reader))
                    if platform.boot_time() > until:
                        continue  # a change that was refused for its lateness must not be made
                    # Each by itself: what waits for the disk holds up nobody's claim.
                    task = spawn(self._reply(worker, number, question, writer), name="desk")
                    worker.tasks.add(task)
                    task.add_done_callback(worker.tasks.discard)
            if worker.tasks:
                await asyncio.wait(worker.tasks)
            await self._claims.give_up(worker)
        finally:
            writer.close()
            self._workers.discard(worker)
            if not self._workers:
                self._alone.set()

    async def close(self) -> None:
        """Hang up. The workers live on, and their probes with them."""
        listening = [worker.listening for worker in self._workers if worker.listening]
        for task in listening:
            task.cancel()
        if listening:
            await asyncio.wait(listening)

    async def left_alone(self) -> None:
        """Wait until no worker is connected."""
        await self._alone.wait()

    async def _reply(
        self, worker: _Worker, number: int, question: Question, writer: asyncio.StreamWriter
    ) -> None:
        try:
            answer = await self._answer(worker, question)
        except NotFound as exc:
            answer = Refused(str(exc), is_missing=True)
        except (RouterError, OSError) as exc:
            answer = Refused(str(exc))
        if not writer.is_closing():
            writer.write(pack_answer(number, answer))

    async def _answer(self, worker: _Worker, question: Question) -> Answer:
        match question:
            case Flush():
                await self._rows.flush()
                if question.is_shared:
                    await self._shared()
                return Done()
            case ChangeConfig():
                return await self._change(question)
            case RollBack():
                config = await self._configs.rollback(question.version, question.actor)
                await self._shared()
                return _in_force(config)
            case ClaimProbe():
                return await self._claims.claim(worker, question)
            case Pulse():
                worker.pulse = question
                async with self._pulses:
                    self._pulses.notify_all()
                others = (other.pulse.own for other in self._workers if other is not worker)
                return Peers(sum(others, Load()), self._rows.is_failing)

    async def _shared(self) -> None:
        """Wait until every worker acts on what is written by now.

        So whoever has changed something finds it changed, whichever of them the next request meets.
        """
        with suppress(TimeoutError, StorageError):
            now = await marks_now(self._database)
            config, breaker = now["config"] or 0, now["breakers"] or 0

            def is_shared() -> bool:
                pulses = [worker.pulse for worker in self._workers]
                return all(each.config >= config and each.breakers >= breaker for each in pulses)

            async with asyncio.timeout(SHARED_S), self._pulses:
                await self._pulses.wait_for(is_shared)

    async def _change(self, question: ChangeConfig) -> Answer:
        wanted = document.parse(question.document)

        def edit(current: RoutingConfig) -> RoutingConfig:
            if current.version != question.expected:
                raise Conflict("another version is in force")
            return wanted

        try:
            config = await self._configs.change(question.actor, question.action, edit)
        except Conflict:
            return Outdated()
        await self._shared()
        return _in_force(config)


def _in_force(config: RoutingConfig) -> InForce:
    return InForce(config.version, document.to_dict(config))


@asynccontextmanager
async def open_desk(desk: Desk, folder: Path) -> AsyncIterator[None]:
    """Take workers' calls for as long as the block runs."""
    server = await asyncio.start_unix_server(desk.welcome, sock=address.listen(folder))
    try:
        yield
    finally:
        server.close()
        await desk.close()
        address.remove(folder)
