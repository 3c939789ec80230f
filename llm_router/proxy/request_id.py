"""The id of a request: in its row, in the log and in the answer's headers."""

import itertools
import random
import time

_random = random.SystemRandom().getrandbits
_counter = itertools.count(_random(32))


def new_request_id() -> str:
    """Return an id that sorts by time, so that rows are appended rather than scattered."""
    number = time.time_ns() // 1_000_000 << 32 | next(_counter) & 0xFFFFFFFF
    return f"req_{number.to_bytes(10, 'big').hex()}"
