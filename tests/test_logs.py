import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Literal

import pytest

from llm_router.logs import (
    LINES_AT_ONCE,
    LONGEST_LINE,
    WITHIN_S,
    Sparing,
    request_id,
    set_up_logging,
)
from llm_router.settings import LogSettings
from tests.fakes.clock import Clock

log = logging.getLogger("llm_router.some.module")


class Log:
    """What has been logged since `begin`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._caught = io.StringIO()

    def begin(self, form: Literal["text", "json"] = "text", level: str = "info") -> None:
        self._monkeypatch.setattr(sys, "stderr", self._caught)
        set_up_logging(LogSettings.model_validate({"format": form, "level": level}))

    @property
    def text(self) -> str:
        return self._caught.getvalue()


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """The loggers are as they were behind the test."""
    root, quiet = logging.getLogger(), [logging.getLogger("aiohttp")]
    handlers, levels = root.handlers[:], [logger.level for logger in (root, *quiet)]
    root.handlers.clear()  # or they would be closed
    token = request_id.set(None)
    yield Log(monkeypatch)
    request_id.reset(token)
    root.handlers[:] = handlers
    for logger, level in zip((root, *quiet), levels, strict=True):
        logger.setLevel(level)


def fail() -> None:
    try:
        raise KeyError("a\x1b[31mred\nline")
    except KeyError:
        log.exception("broke")


def test_what_is_said_too_often_is_counted() -> None:
    """T25: nobody fills a disk with lines, or hides among them."""
    clock = Clock()
    sparing = Sparing(clock.monotonic)

    def said(line: int, words: str = "%s knocks") -> str | None:
        record = logging.LogRecord("x", logging.INFO, "here.py", line, words, ("eve",), None)
        return record.getMessage() if sparing.filter(record) else None

    heard = [said(1) for _ in range(LINES_AT_ONCE + 7)]
    assert heard == ["eve knocks"] * LINES_AT_ONCE + [None] * 7
    assert said(2) == "eve knocks", "another place has lines of its own"
    clock.pass_s(WITHIN_S)
    assert said(1) == "eve knocks (7 lines like this were left out)"
    assert said(1) == "eve knocks"
    clock.pass_s(WITHIN_S)
    assert said(1) == "eve knocks"


def test_the_log_that_is_set_up_spares(logged: Log) -> None:
    """T25"""
    logged.begin()
    for number in range(LINES_AT_ONCE + 50):
        log.warning("line %d", number)
    assert len(logged.text.splitlines()) == LINES_AT_ONCE


def test_a_record_is_one_line_of_time_level_and_words(logged: Log) -> None:
    logged.begin()
    log.info("serving %d models", 4)
    time, rest = logged.text.split(" ", 1)
    assert rest == "info    serving 4 models\n"
    assert len(time) == len("2026-01-31T12:00:00.123Z")
    assert time.endswith("Z")


def test_the_requests_id_stands_on_its_lines(logged: Log) -> None:
    logged.begin()
    request_id.set("req_1")
    log.warning("odd")
    assert logged.text.endswith("warning odd [req_1]\n")


def test_json_has_the_same_facts(logged: Log) -> None:
    logged.begin("json")
    log.error("odd %s", "thing")
    request_id.set("req_1")
    log.info("fine")
    first, second = map(json.loads, logged.text.splitlines())
    assert first.keys() == {"at", "level", "logger", "message"}
    assert (first["level"], first["logger"], first["message"]) == (
        "error",
        "llm_router.some.module",
        "odd thing",
    )
    assert second["request_id"] == "req_1"


@pytest.mark.parametrize(
    "text",
    ["a\nb", "a\r\nfake info line", "\x1b[31mred", "nul\x00", "bidi \u202e", "half \ud83d", "\x7f"],
    ids=["newline", "forged line", "colour", "NUL", "bidi", "surrogate", "DEL"],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_client_wrote_stays_on_its_line(
    form: Literal["text", "json"], text: str, logged: Log
) -> None:
    """T25"""
    logged.begin(form)
    log.info("model %s", text)
    line = logged.text.removesuffix("\n")
    assert line.isprintable()
    if form == "json":
        assert json.loads(line)["message"] == f"model {text}"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_has_an_end(form: Literal["text", "json"], logged: Log) -> None:
    """T25: also where escaping makes it longer."""
    logged.begin(form)
    log.info("x" * 100_000)
    log.info("\x00" * 10_000)
    for line in logged.text.splitlines():
        assert len(line) < (LONGEST_LINE + 200) * (6 if form == "json" else 1)


def test_a_traceback_is_indented_and_escaped(logged: Log) -> None:
    """T25"""
    logged.begin()
    fail()
    first, *rest = logged.text.splitlines()
    assert first.endswith("error   broke")
    assert all(line.startswith("  ") for line in rest)
    assert "\x1b" not in logged.text
    assert rest[0] == "  Traceback (most recent call last):"
    assert "KeyError" in rest[-1]


def test_in_json_a_traceback_is_part_of_the_message(logged: Log) -> None:
    logged.begin("json")
    fail()
    [line] = logged.text.splitlines()
    message = json.loads(line)["message"]
    assert message.startswith("broke\n  Traceback (most recent call last):\n")


def test_a_long_traceback_has_an_end(logged: Log) -> None:
    logged.begin()
    try:
        raise KeyError("x" * 100_000)
    except KeyError:
        log.exception("broke")
    assert len(logged.text) < LONGEST_LINE + 200


def test_the_level_is_what_the_settings_say(logged: Log) -> None:
    logged.begin(level="warning")
    log.info("quiet")
    log.warning("loud")
    assert "quiet" not in logged.text
    assert "loud" in logged.text


def test_others_stay_quiet_below_warnings(logged: Log) -> None:
    logged.begin(level="debug")
    logging.getLogger("aiohttp.access").info("chatter")
    log.debug("ours")
    assert "chatter" not in logged.text
    assert "ours" in logged.text
