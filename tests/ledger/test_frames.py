import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_router.ledger.frames import HEADER, MAX_PAYLOAD_BYTES, frame, split
from tests.fakes.effort import examples

payload_lists = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


@settings(max_examples=examples(50), deadline=None)
@given(payload_lists)
def test_what_was_framed_is_split_again(payloads: list[bytes]) -> None:
    data = b"".join(map(frame, payloads))
    frames = split(data)
    assert frames.payloads == payloads
    assert (frames.consumed_bytes, frames.end) == (len(data), "clean")


@settings(max_examples=examples(50), deadline=None)
@given(payload_lists, st.data())
def test_a_cut_anywhere_leaves_whole_frames_and_a_torn_end(
    payloads: list[bytes], draw: st.DataObject
) -> None:
    """F91, F85: whatever a crash or a short write leaves, whole frames are read, no more."""
    data = b"".join(map(frame, payloads))
    cut = draw.draw(st.integers(0, len(data)))
    frames = split(data[:cut])
    assert frames.payloads == payloads[: len(frames.payloads)]
    assert b"".join(map(frame, frames.payloads)) == data[: frames.consumed_bytes]
    assert frames.end == ("clean" if frames.consumed_bytes == cut else "torn")


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6), st.data())
def test_a_flipped_bit_is_never_read_as_an_entry(
    payloads: list[bytes], draw: st.DataObject
) -> None:
    """F89, F91: nor is anything behind it."""
    data = bytearray(b"".join(map(frame, payloads)))
    bit = draw.draw(st.integers(0, len(data) * 8 - 1))
    data[bit // 8] ^= 1 << bit % 8
    frames = split(bytes(data))
    assert frames.payloads == payloads[: len(frames.payloads)]
    assert frames.consumed_bytes <= bit // 8
    assert frames.end != "clean"


@settings(max_examples=examples(100), deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    """T43: the journal is read without trust."""
    assert split(data).consumed_bytes <= len(data)


def test_a_tail_of_zeros_is_damage_and_not_empty_entries() -> None:
    """F91: some file systems leave zeros behind after a power cut."""
    frames = split(frame(b"entry") + bytes(64))
    assert (frames.payloads, frames.end) == ([b"entry"], "damaged")


@pytest.mark.parametrize("length", [MAX_PAYLOAD_BYTES + 1, 0xFFFFFFFF])
def test_an_impossible_length_is_damage_and_not_waited_for(length: int) -> None:
    assert split(HEADER.pack(length, 0)).end == "damaged"
