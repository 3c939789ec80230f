"""How entries lie in a journal segment: length, CRC-32, payload; both numbers little-endian u32.

A frame is written with one `write`, so whatever interrupts the writer leaves whole frames and at
most one torn one at the end.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Literal
from zlib import crc32

HEADER = Struct("<II")
_HEADER_BYTES, _unpack = HEADER.size, HEADER.unpack_from
# Entries are a few hundred bytes. A length beyond this is not a frame that merely lacks its end.
MAX_PAYLOAD_BYTES = 1024 * 1024

End = Literal["clean", "torn", "damaged"]


@dataclass(frozen=True, slots=True)
class Frames:
    """The whole frames at the beginning of some bytes, and what follows them.

    `torn`: the bytes end inside a frame, more may come. `damaged`: what follows is not a frame,
    and where the next one begins cannot be known.
    """

    payloads: list[bytes]
    consumed_bytes: int
    end: End


def frame(payload: bytes) -> bytes:
    return HEADER.pack(len(payload), crc32(payload)) + payload


def split(data: bytes) -> Frames:
    """Take whole, intact frames off the front. Never raises, whatever the bytes are."""
    payloads = []
    offset, size = 0, len(data)
    while (start := offset + _HEADER_BYTES) < size:
        length, checksum = _unpack(data, offset)
        following = start + length
        payload = data[start:following]
        # A power cut can leave a tail of zeros, which would be empty frames with a valid CRC.
        if following > size or crc32(payload) != checksum or not payload:
            break
        payloads.append(payload)
        offset = following
    return Frames(payloads, offset, _end(data[offset : offset + _HEADER_BYTES], size - offset))


def _end(header: bytes, left: int) -> End:
    """Say what follows the last whole frame: `left` bytes that begin so."""
    if not left:
        return "clean"
    if len(header) < _HEADER_BYTES:
        return "torn"
    length, _ = _unpack(header)
    is_torn = 0 < length <= MAX_PAYLOAD_BYTES and _HEADER_BYTES + length > left
    return "torn" if is_torn else "damaged"
