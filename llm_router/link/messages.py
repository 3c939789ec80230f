"""What a worker and the ledger process say to each other, and how it lies on the wire.

Each message is one frame (length, CRC, payload, as in the journal) whose payload is MessagePack:
the number of the question, in questions until when the boot clock finds somebody waiting for the
answer, and the message itself as one of the types below.
"""

import asyncio
from typing import Any
from zlib import crc32

import msgspec
from msgspec import Struct

from llm_router.ledger.entry import BreakerChanged
from llm_router.ledger.frames import HEADER, frame
from llm_router.load import Load
from llm_router.routing.snapshot import StoredBreaker

MAX_MESSAGE_BYTES = 32 * 1024 * 1024  # a whole configuration, above all


# A worker asks


class Flush(Struct, frozen=True, tag="flush"):
    """Make rows of everything journaled so far.

    `is_shared`: and wait until they are in force in every worker.
    """

    is_shared: bool = False


class ChangeConfig(Struct, frozen=True, tag="change"):
    """Put a document in force in place of version `expected`."""

    actor: str
    action: str
    document: dict[str, Any]
    expected: int


class RollBack(Struct, frozen=True, tag="rollback"):
    actor: str
    version: int


class ClaimProbe(Struct, frozen=True, tag="claim"):
    """See `routing.probes.Claims`."""

    moves: list[BreakerChanged]
    since: dict[str, int]


class Pulse(Struct, frozen=True, tag="pulse"):
    """What is in hand, and up to which configuration and which breaker's row all is in force."""

    own: Load
    config: int = 0
    breakers: int = 0


Question = Flush | ChangeConfig | RollBack | ClaimProbe | Pulse


# The ledger process answers


class Done(Struct, frozen=True, tag="done"):
    pass


class InForce(Struct, frozen=True, tag="in_force"):
    version: int
    document: dict[str, Any]


class Outdated(Struct, frozen=True, tag="outdated"):
    """Another version is in force than the one that was to be replaced."""


class Refused(Struct, frozen=True, tag="refused"):
    """`is_missing`: there is no such thing. Otherwise the database cannot do it now."""

    message: str
    is_missing: bool = False


class Standing(Struct, frozen=True, tag="standing"):
    """Whether a claim was granted, the rows where it was not, and whether none could be written."""

    is_granted: bool
    rows: list[StoredBreaker]
    is_unwritten: bool = False


class Peers(Struct, frozen=True, tag="peers"):
    """What the other workers said last, summed up, and whether rows wait in the journals."""

    others: Load
    is_failing: bool


Answer = Done | InForce | Outdated | Refused | Standing | Peers


def pack_question(number: int, until: float, question: Question) -> bytes:
    return frame(msgspec.msgpack.encode((number, until, question)))


def pack_answer(number: int, answer: Answer) -> bytes:
    return frame(msgspec.msgpack.encode((number, answer)))


async def read_payload(reader: asyncio.StreamReader) -> bytes:
    """Return the next frame's payload. EOFError when no more comes or what comes is none."""
    length, checksum = HEADER.unpack(await reader.readexactly(HEADER.size))
    if length > MAX_MESSAGE_BYTES:
        raise EOFError("that is no message of ours")
    payload = await reader.readexactly(length)
    if crc32(payload) != checksum:
        raise EOFError("a message arrived damaged")
    return payload
