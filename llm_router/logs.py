"""Logging: one line a record, the request's id on it, as text or JSON, and never a flood."""

import json
import logging
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar

from llm_router.clock import utc_text
from llm_router.settings import LogSettings

LONGEST_LINE = 8192
LINES_AT_ONCE = 100  # from one place in the code, within so many seconds
WITHIN_S = 10.0

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def set_up_logging(settings: LogSettings) -> None:
    """Log to stderr. aiohttp's own loggers stay quiet below warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Sparing())
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)


class Sparing(logging.Filter):
    """Counts what one place in the code says too often; clients must not be able to fill a disk.

    The next line that place may write tells how many were left out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._places: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        place, now = (record.pathname, record.lineno), self._clock()
        begun, count = self._places.get(place, (now, 0))
        left_out = 0
        if now - begun >= WITHIN_S:
            left_out = max(0, count - LINES_AT_ONCE)
            begun, count = now, 0
        self._places[place] = begun, count + 1
        if left_out:
            record.msg = f"{record.getMessage()} ({left_out} lines like this were left out)"
            record.args = None
        return count < LINES_AT_ONCE


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        rid = request_id.get()
        where = f" [{rid}]" if rid else ""
        message = _escaped(record.getMessage())[:LONGEST_LINE]
        line = f"{utc_text(record.created)} {record.levelname.lower():7} {message}{where}"
        return line + _traceback(record)[:LONGEST_LINE]


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": utc_text(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": (record.getMessage() + _traceback(record))[:LONGEST_LINE],
        }
        if rid := request_id.get():
            line["request_id"] = rid
        return json.dumps(line)


def _traceback(record: logging.LogRecord) -> str:
    if not record.exc_info:
        return ""
    lines = logging.Formatter().formatException(record.exc_info).splitlines()
    return "".join("\n  " + _escaped(line) for line in lines)


def _escaped(message: str) -> str:
    """Keep what a client wrote from forging a line or colouring a terminal."""
    if message.isprintable():
        return message
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in message)
