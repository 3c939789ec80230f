"""What a client gets for whom there is no descriptor left: an answer, and soon the end.

Every client may need a second descriptor for its call upstream, and the ledger needs some of its
own. Out of them, a router could neither call nor book, so the last ones are not given to clients.
"""

import asyncio
from typing import cast

from llm_router import platform
from llm_router.errors import Unavailable
from llm_router.proxy.request_id import new_request_id
from llm_router.web.responses import PLAIN_HEADERS, error_parts

_OWN = 64  # database, journals, logs, the model list, connections being turned away
_LINGER_S = 1.0
_RETRY_AFTER_S = 5


def most_clients() -> int:
    """Return how many clients may be connected at once."""
    return max(8, (platform.descriptor_limit() - _OWN) // 2)


class TurnedAway(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(_answer())
        # Closing at once, with its request unread, would reset the connection before it has read.
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._timer = asyncio.get_running_loop().call_later(_LINGER_S, self._transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()


def _answer() -> bytes:
    message = "The router has as many clients as it has room for."
    error = Unavailable(message, retry_after_s=_RETRY_AFTER_S)
    headers, body = error_parts(error, {"x-router-request-id": new_request_id()})
    headers |= {**PLAIN_HEADERS, "Content-Length": str(len(body)), "Connection": "close"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 503 Service Unavailable\r\n{lines}\r\n".encode() + body
