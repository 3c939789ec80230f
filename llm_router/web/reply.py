"""The head of an answer, as bytes."""

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from llm_router.web.responses import PLAIN_HEADERS

_PLAIN = "".join(f"{name}: {value}\r\n" for name, value in PLAIN_HEADERS.items())


def render_head(
    status: int, headers: Mapping[str, str], framing: str, *, closes: bool = False
) -> bytes:
    """Return status line, headers and the blank line; `framing` is whole header lines.

    ValueError if one header could be taken for two.
    """
    lines = "\r\n".join((_status_line(status), *map(": ".join, headers.items()), ""))
    breaks = len(headers) + 1
    if lines.count("\n") != breaks or lines.count("\r") != breaks or "\0" in lines:
        raise ValueError("a header holds a line break")
    closing = "Connection: close\r\n" if closes else ""
    return f"{lines}{framing}{_always(int(time.time()))}{closing}\r\n".encode()


@lru_cache(maxsize=64)
def _status_line(status: int) -> str:
    try:
        return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
    except ValueError:  # 529 and the like, which providers make up
        return f"HTTP/1.1 {status} "


@lru_cache(maxsize=2)
def _always(unix_s: int) -> str:
    """Return what stands in every answer of this second."""
    return f"Date: {formatdate(unix_s, usegmt=True)}\r\n{_PLAIN}"
