"""The oracles can fail: otherwise no test that uses them means anything."""

import asyncio
import time
from typing import Any

import pytest

from tests.fakes.chaos import REQUEST, running_chaos
from tests.fakes.ledger import CALL_ROW
from tests.oracles import resources
from tests.oracles.books import Sent, differences, sent_to_chaos
from tests.oracles.loop import longest_callback
from tests.oracles.secrets import leaks
from tests.oracles.transcript import came_from

CALL = Sent("a/one", "gen-1", 7)
UNSEEN = {"generation_id": None, "http_status": None, "cost_nanousd": None}


@pytest.mark.parametrize(
    ("sent", "attempts"),
    [
        ([CALL], [CALL_ROW]),
        ([CALL, CALL], [CALL_ROW, {**CALL_ROW, "id": "r1.2"}]),
        ([CALL], [{**CALL_ROW, "generation_id": None}]),
        ([Sent("a/one")], [CALL_ROW]),
        ([CALL], [{**CALL_ROW, "cost_nanousd": None}]),
        ([], [{**CALL_ROW, **UNSEEN, "error_class": "transport"}]),
        ([], [{**CALL_ROW, **UNSEEN, "error_class": "client_gone"}]),
    ],
    ids=["one", "two alike", "unnamed", "raw bytes", "cost unknown", "never sent", "cancelled"],
)
def test_books_that_agree_have_no_differences(sent: list[Sent], attempts: list[Any]) -> None:
    assert differences(sent, attempts) == []


@pytest.mark.parametrize(
    ("sent", "attempts"),
    [
        ([CALL], []),
        ([CALL, CALL], [CALL_ROW]),
        ([], [CALL_ROW]),
        ([CALL], [CALL_ROW, {**CALL_ROW, "id": "r1.2"}]),
        ([CALL], [{**CALL_ROW, "model": "b/two"}]),
        ([CALL], [{**CALL_ROW, "generation_id": "gen-2"}]),
        ([CALL], [{**CALL_ROW, "cost_nanousd": 8}]),
        ([CALL], [{**CALL_ROW, **UNSEEN, "error_class": "transport"}]),
    ],
    ids=[
        "lost",
        "one lost",
        "made up",
        "twice",
        "model",
        "generation",
        "cost",
        "sent all the same",
    ],
)
def test_books_that_differ_are_found_out(sent: list[Sent], attempts: list[Any]) -> None:
    assert differences(sent, attempts)


@pytest.mark.parametrize(
    ("body", "is_true"),
    [
        (b"data: 1\n\ndata: [DONE]\n\n", True),
        (b"data: 1\n\n", True),
        (b": keep-alive\n\ndata: 1\n\n", True),
        (b'data: 1\n\ndata: {"error":{"type":"x"}}\n\n', True),
        (b'data: 1\n\ndata: {"error":{"type":"x"}}\n\ndata: 2\n\n', False),
        (b"data: 2\n\n", False),
        (b'data: 1\n\ndata: {"choices":[]}\n\n', False),
    ],
)
def test_a_transcript_is_upstreams_up_to_the_failure(body: bytes, is_true: bool) -> None:
    assert came_from(body, b"data: 1\n\ndata: [DONE]\n\n") is is_true


def test_a_secret_is_found_and_not_repeated() -> None:
    places = {"log": b"key=sk-canary-0123456789", "answers": b""}
    [leak] = leaks(["sk-canary-0123456789", "other"], places)
    assert "0123456789" not in leak


async def test_what_is_held_is_seen() -> None:
    before = resources.held_here()
    async with running_chaos([REQUEST, b"x"]) as chaos:
        assert resources.held_here().more_than(before)
        reader, writer = await asyncio.open_connection(*chaos.url[7:].split(":"))
        writer.write(b'POST /chat/completions HTTP/1.1\r\nContent-Length: 13\r\n\r\n{"model":"m"}')
        assert await reader.read() == b"x"
        assert sent_to_chaos(chaos) == [Sent("m")]
        writer.close()


async def test_a_callback_that_works_for_long_is_seen() -> None:
    async def work() -> None:
        begun = time.thread_time()
        while time.thread_time() - begun < 0.06:
            pass

    with longest_callback() as longest:
        await work()
        await asyncio.sleep(0)
        assert longest.ms < 50  # that was the watcher's own
        await asyncio.ensure_future(work())
        assert longest.ms > 50
        longest.forget()
        await asyncio.sleep(0.001)
        assert longest.ms < 50
