"""A worker's end of the link: questions go out, answers come back, in any order.

The ledger process may be away for a moment, while another one takes its place. Then a question
fails at once with StorageError, which is what it would be if the database could not answer.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from llm_router import platform
from llm_router.errors import NotFound, StorageError
from llm_router.link import address
from llm_router.link.messages import Answer, Question, Refused, pack_question, read_payload
from llm_router.tasks import beside

log = logging.getLogger(__name__)

A = TypeVar("A")

ANSWER_S = 10.0
_CALL_AGAIN_S = 0.05
_LOST = (OSError, EOFError, msgspec.DecodeError)


class Link:
    """Made by `open_link`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._decode = msgspec.msgpack.Decoder(tuple[int, Answer]).decode
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._number = 0

    @property
    def is_up(self) -> bool:
        return self._writer is not None

    async def ask(self, question: Question, *expected: type[A], timeout_s: float = ANSWER_S) -> A:
        """Return the answer. StorageError when none can be had, NotFound when that is it."""
        writer = self._writer
        if writer is None:
            raise StorageError("the ledger process is away; it is being started again")
        self._number += 1
        number = self._number
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answered
        writer.write(pack_question(number, platform.boot_time() + timeout_s, question))
        try:
            async with asyncio.timeout(timeout_s):
                answer = await answered
        except TimeoutError as exc:
            raise StorageError("the ledger process does not answer in time") from exc
        finally:
            self._waiting.pop(number, None)
        if isinstance(answer, Refused):
            raise NotFound(answer.message) if answer.is_missing else StorageError(answer.message)
        if not isinstance(answer, expected):
            raise StorageError("the ledger process answered something else")
        return answer

    async def run(self) -> None:
        """Call, listen, and call again; the link's task."""
        while True:
            with suppress(*_LOST):
                await self._call()
            await asyncio.sleep(_CALL_AGAIN_S)

    async def _call(self) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=address.call(self._folder))
        self._writer = writer
        try:
            while True:
                number, answer = self._decode(await read_payload(reader))
                if waiting := self._waiting.get(number):
                    waiting.set_result(answer)
        finally:
            self._writer = None
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(StorageError("the ledger process went away"))
            writer.close()


@asynccontextmanager
async def open_link(folder: Path) -> AsyncIterator[Link]:
    """Stay in touch with the ledger process of a journal folder for as long as the block runs."""
    link = Link(folder)
    async with beside(link.run(), name="link"):
        yield link
