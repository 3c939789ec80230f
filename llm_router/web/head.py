"""The head of an ordinary chat request, read by httptools.

What is not ordinary is nobody's fault: aiohttp's server takes it, and refuses it where need be.
"""

from functools import lru_cache

import httptools
from msgspec import Struct

LIMIT_BYTES = 8190  # where aiohttp's server draws the line for a single header
_MAX_HEADERS = 64
_STARTS = (b"POST /v1/chat/completions ", b"POST /chat/completions ")
# What changes how the body is framed or the connection is used.
_UNUSUAL = frozenset(
    {"transfer-encoding", "content-encoding", "expect", "upgrade", "proxy-connection"}
)
_CONNECTION = ("keep-alive", "close")
_LENGTH = b"\r\ncontent-length: "
_LENGTH_DIGITS = 15  # far from what a parser could take for another number


class Head(Struct, frozen=True, gc=False):
    """`headers` have lower-case names, none of them came twice; the length is in `body_bytes`."""

    headers: dict[str, str]
    body_bytes: int
    keeps_alive: bool


class Form(Struct, frozen=True, gc=False):
    """A head without the digits of its length: what a client sends again with each request.

    It is found by its salted hash. So the time it takes says nothing about a key that somebody else
    has sent on the same connection, which proxies share among their clients.
    """

    length_at: int
    behind_bytes: int  # what follows the digits
    rest: frozenset[bytes]  # one

    def read(self, data: bytes) -> tuple[int, int] | None:
        """Return how long the body will be and where it begins.

        None unless `data` begins with a whole head of this form.
        """
        start = self.length_at
        digits_end = data.find(b"\r", start)
        end, digits = digits_end + self.behind_bytes, data[start:digits_end]
        if data[:start] + data[digits_end:end] not in self.rest:
            return None
        return (int(digits), end) if digits.isdigit() and len(digits) <= _LENGTH_DIGITS else None


def form_of(head: bytes) -> Form | None:
    """Return the form of an ordinary head; None where the length is not written as usual."""
    start = head.lower().find(_LENGTH) + len(_LENGTH)
    end = head.find(b"\r", start)
    is_usual = start >= len(_LENGTH) and head[start:end].isdigit()
    if not is_usual:
        return None
    return Form(start, len(head) - end, frozenset({head[:start] + head[end:]}))


def may_be_chat(data: bytes) -> bool:
    """Say whether a request that begins like this may have an ordinary head.

    Behind a bare line feed nobody need wait for the rest: no valid head has one.
    """
    if b"\n" in data.replace(b"\r\n", b""):
        return False
    return data.startswith(_STARTS) or any(start.startswith(data) for start in _STARTS)


def parse_head(data: bytes) -> Head | None:
    """Read a whole head with the blank line that ends it; None unless it is an ordinary one."""
    if not data.startswith(_STARTS):
        return None
    reader = _Reader()
    parser = httptools.HttpRequestParser(reader)
    try:
        parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    headers, count = reader.headers, len(reader.headers)
    length = headers.pop("content-length", "")
    connection = headers.get("connection", "keep-alive").lower()
    is_ordinary = (
        reader.is_whole
        and count == reader.count <= _MAX_HEADERS
        and "host" in headers
        and length.isdecimal()
        and _UNUSUAL.isdisjoint(headers)
        and connection in _CONNECTION
        and parser.get_http_version() == "1.1"
    )
    # Not the parser's word: behind an empty body it has forgotten the header already.
    return Head(headers, int(length), connection != "close") if is_ordinary else None


@lru_cache(maxsize=256)  # clients have few names, and send them with every request
def _lower(name: bytes) -> str:
    return name.decode("ascii").lower()


class _Reader:
    """Takes the parser's callbacks."""

    __slots__ = ("count", "headers", "is_whole")

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.count = 0
        self.is_whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.count += 1
        # The parser leaves white space at the end of a value where it is.
        text = value.rstrip(b" \t").decode("utf-8", "surrogateescape")
        self.headers[_lower(name)] = text

    def on_headers_complete(self) -> None:
        self.is_whole = True
