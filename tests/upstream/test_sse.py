import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_router.upstream.sse import EventSplitter, EventTooLarge, data_of, split_events
from tests.fakes.effort import examples

STREAM = (
    b": OPENROUTER PROCESSING\n\n"
    b'data: {"a":"caf\xc3\xa9"}\n\n'
    b"data:no space\n\n"
    b"event: message\nid: 7\ndata: one\ndata: two\n\n"
    b"data: [DONE]\n\n"
)
DATA = [None, b'{"a":"caf\xc3\xa9"}', b"no space", b"one\ntwo", b"[DONE]"]


def read(blocks: list[bytes]) -> tuple[list[bytes], bytes]:
    splitter = EventSplitter()
    events = [event for block in blocks for event in split_events(splitter.feed(block))]
    return events, bytes(splitter.rest)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_events_are_the_same_wherever_the_stream_is_cut(line_end: bytes) -> None:
    """F29: every position is tried as the place between two reads."""
    stream = STREAM.replace(b"\n", line_end)
    for cut in range(len(stream) + 1):
        events, tail = read([stream[:cut], stream[cut:]])
        assert [d for d in map(data_of, events) if d is not None] == DATA[1:]
        assert b"".join(events) + tail == stream


def test_events_are_the_same_byte_by_byte() -> None:
    events, tail = read([STREAM[i : i + 1] for i in range(len(STREAM))])
    assert [data_of(event) for event in events] == DATA
    assert tail == b""


@settings(max_examples=examples(200))
@given(st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"data: x", b"a", b"\xff"]), max_size=40))
def test_any_bytes_come_out_as_they_went_in(blocks: list[bytes]) -> None:
    """F27: the splitter never raises, loses or invents a byte."""
    events, tail = read(blocks)
    assert b"".join(events) + tail == b"".join(blocks)


def test_a_byte_order_mark_does_not_hide_the_first_event() -> None:
    assert data_of(b"\xef\xbb\xbfdata: x\n\n") == b"x"


def test_an_event_over_the_limit_is_refused() -> None:
    """F28: an endless line must not fill the memory."""
    splitter = EventSplitter(limit=100)
    assert splitter.feed(b"data: " + b"x" * 90) == b""
    with pytest.raises(EventTooLarge):
        splitter.feed(b"x" * 10)


def test_a_megabyte_in_one_line_passes() -> None:
    event = b"data: " + b"x" * 1_048_576 + b"\n\n"
    events, _ = read([event[i : i + 65_536] for i in range(0, len(event), 65_536)])
    assert events == [event]
