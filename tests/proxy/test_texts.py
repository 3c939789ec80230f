"""The words of requests and answers, as an operator may choose to keep them."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from llm_router.errors import ClientGone
from llm_router.ledger.frames import MAX_PAYLOAD_BYTES
from llm_router.proxy.body import parse_body
from llm_router.proxy.texts import MAX_ANSWER_BYTES, MAX_TEXT_BYTES, KeptStream
from llm_router.settings import Settings


class Transport:
    def __init__(self) -> None:
        self.written = bytearray()
        self.is_gone = False

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.is_gone

    def get_write_buffer_size(self) -> int:
        return 0


class Sink:
    """An outlet that takes everything."""

    is_chunked = False
    has_begun = False

    def __init__(self) -> None:
        self.sink = Transport()
        self.transport = cast(asyncio.Transport, self.sink)

    async def whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.sink.write(body)

    async def open(self, headers: Mapping[str, str]) -> None: ...
    async def drain(self) -> None: ...
    async def end(self) -> None: ...


def body(messages: object, *, is_stream: bool) -> bytes:
    return json.dumps({"model": "router", "stream": is_stream, "messages": messages}).encode()


def event(delta: object, **choice: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": delta, **choice}]}).encode() + b"\n\n"


def kept(stream: list[bytes], messages: object = "[]") -> tuple[str, str]:
    client = KeptStream(Sink(), Settings())
    for block in stream:
        client.write_now(block)
    entry = client.kept("req_1", 5.0, parse_body(body([{"role": "user"}], is_stream=True)))
    assert (entry.request_id, entry.at) == ("req_1", 5.0)
    return entry.prompt, entry.answer


def test_a_streams_words_are_put_together() -> None:
    answer = [
        b": OPENROUTER PROCESSING\n\n",
        event({"role": "assistant", "content": ""}),
        event({"content": "Hel"}) + event({"content": "lo"}),
        event({"content": None}, finish_reason="stop"),
        b'data: {"choices":[],"usage":{}}\n\ndata: [DONE]\n\n',
    ]
    assert kept(answer)[1] == "Hello"


def test_events_may_lie_across_blocks() -> None:
    whole = event({"content": "über"}) + event({"content": " uns"})
    assert kept([bytes([byte]) for byte in whole])[1] == "über uns"


def test_tool_calls_are_lines_behind_the_words() -> None:
    def call(index: int, **function: str) -> bytes:
        return event({"tool_calls": [{"index": index, "function": function}]})

    answer = [
        event({"content": "Let me see."}),
        call(0, name="get_weather", arguments=""),
        call(0, arguments='{"city":'),
        call(1, name="now"),
        call(0, arguments='"Paris"}'),
    ]
    assert kept(answer)[1] == 'Let me see.\nget_weather({"city":"Paris"})\nnow()'


def test_only_the_first_of_several_answers_is_kept() -> None:
    assert kept([event({"content": "a"}, index=0), event({"content": "b"}, index=1)])[1] == "a"


@pytest.mark.parametrize(
    "junk",
    [
        b"data: {\n\n",
        b'data: {"choices":5}\n\n',
        b'data: {"error":{"message":"no"}}\n\n',
        b'data: {"choices":[{"delta":{"content":[1]}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"\\ud800"}}]}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"\xff\xfe\n\n",
    ],
)
def test_what_is_no_word_is_left_out(junk: bytes) -> None:
    assert kept([event({"content": "a"}), junk, event({"content": "b"})])[1] == "ab"


async def test_a_plain_answer_is_kept_likewise() -> None:
    client = KeptStream(Sink(), Settings())
    calls = [{"function": {"name": "one", "arguments": "1"}}, {"function": {"name": "two"}}]
    message = {"role": "assistant", "content": "Hi", "tool_calls": calls}
    await client.whole({}, json.dumps({"choices": [{"message": message}]}).encode())
    asked = [{"role": "user", "content": "Hello"}]
    entry = client.kept("req_1", 5.0, parse_body(body(asked, is_stream=False)))
    assert json.loads(entry.prompt) == asked
    assert entry.answer == "Hi\none(1)\ntwo()"


def test_what_a_client_that_left_never_got_is_kept_all_the_same() -> None:
    sink = Sink()
    client = KeptStream(sink, Settings())
    client.write_now(event({"content": "Hello"}))
    sink.sink.is_gone = True
    with pytest.raises(ClientGone):
        client.write_now(event({"content": " you"}))
    asked = parse_body(body([{}], is_stream=True))
    assert client.kept("req_1", 5.0, asked).answer == "Hello you"


def test_long_texts_keep_their_beginning_and_their_end() -> None:
    """T23: and both fit into one frame of the journal."""
    client = KeptStream(Sink(), Settings())
    for _ in range(3):
        client.write_now(event({"content": "é" * MAX_TEXT_BYTES}))
    long = [{"content": "first " + "\x01" * 2 * MAX_TEXT_BYTES + " last"}]
    entry = client.kept("req_1", 5.0, parse_body(body(long, is_stream=True)))
    assert entry.prompt.startswith('[{"content": "first ')
    assert entry.prompt.endswith(' last"}]')
    assert " … " in entry.prompt
    size = len(entry.prompt.encode()) + len(entry.answer.encode())
    assert 2 * MAX_TEXT_BYTES <= size <= 2 * MAX_TEXT_BYTES + 20 < MAX_PAYLOAD_BYTES


def test_an_answer_without_end_is_remembered_up_to_a_bound() -> None:
    """T23"""
    client = KeptStream(Sink(), Settings())
    for _ in range(10):
        client.write_now(b"x" * (MAX_ANSWER_BYTES // 4))
    assert len(client._written) == MAX_ANSWER_BYTES
