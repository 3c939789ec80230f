"""The line between the supervisor and one of its processes: a socket pair, one JSON text a line.

It is also how each learns that the other is gone, however that came about: the line ends.
"""

import asyncio
import socket
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct
from pydantic import SecretStr

from llm_router.routing import document
from llm_router.routing.config import RoutingConfig
from llm_router.settings import Settings

_LONGEST_LINE = 32 * 1024 * 1024

Role = Literal["ledger", "worker"]


# The supervisor says


class Orders(Struct, frozen=True, tag="orders"):
    """What a new process is to do. `sockets` and `turns` are descriptors that it inherits.

    A worker has a `place` among the others, with whom it takes turns. `is_first`: nobody serves
    yet.
    """

    role: Role
    settings: dict[str, Any]
    seed: dict[str, Any]
    is_first: bool
    sockets: tuple[int, ...] = ()
    turns: int | None = None
    place: int = 0

    @property
    def inherited(self) -> tuple[int, ...]:
        return self.sockets if self.turns is None else (*self.sockets, self.turns)

    def read_settings(self) -> Settings:
        return Settings.model_validate(self.settings)

    def read_seed(self) -> RoutingConfig:
        return document.parse(self.seed)


class Announce(Struct, frozen=True, tag="announce"):
    """Under which address the workers serve, and who watches over them."""

    url: str
    pid: int


class Muster(Struct, frozen=True, tag="muster"):
    """How many workers there should be, and how many serve."""

    wanted: int
    serving: int


class Drain(Struct, frozen=True, tag="drain"):
    """Finish what is in flight, for at most so many seconds; see `serving.drain`."""

    drain_s: float
    settle_s: float | None = None


class Cut(Struct, frozen=True, tag="cut"):
    """Do not wait for it."""


# The process says


class Ready(Struct, frozen=True, tag="ready"):
    pass


class Failed(Struct, frozen=True, tag="failed"):
    """It cannot do what it should, and ends; the message is for people."""

    message: str


Message = Orders | Announce | Muster | Drain | Cut | Ready | Failed

_decode = msgspec.json.Decoder(Message).decode


class Line:
    """One end of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def say(self, message: Message) -> None:
        """Send, unless nobody listens any more."""
        if not self._writer.is_closing():
            self._writer.write(msgspec.json.encode(message, enc_hook=_plain) + b"\n")

    async def hear(self) -> Message | None:
        """Return the next message; None when the other end is gone."""
        try:
            text = await self._reader.readline()
        except OSError:
            return None
        return _decode(text) if text.endswith(b"\n") else None

    def close(self) -> None:
        self._writer.close()


async def open_line(end: socket.socket) -> Line:
    return Line(*await asyncio.open_unix_connection(sock=end, limit=_LONGEST_LINE))


def orders(role: Role, settings: Settings, seed: RoutingConfig, *, is_first: bool) -> Orders:
    return Orders(role, settings.model_dump(), document.to_dict(seed), is_first)


def _plain(value: object) -> object:
    """Write what JSON does not know. Secrets go over this line alone, and no further."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(value)
