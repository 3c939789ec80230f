import itertools
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_router.ledger.cost import NO_USAGE, Cost, Usage
from llm_router.proxy import commit
from llm_router.proxy.commit import HELD_LIMIT, CommitGate
from llm_router.proxy.facts import Facts
from llm_router.routing.failures import FailureClass
from llm_router.upstream.sse import EVENT_LIMIT
from tests.fakes.effort import examples
from tests.proxy.chunks import (
    COMMENT,
    COST_NANOUSD,
    DONE,
    HELLO,
    ID,
    MODEL,
    ROLE,
    USAGE,
    WHOLE,
    choice,
    content,
    delta,
    event,
    finish,
    objects,
    usage,
)

C = FailureClass
WHOLE_FACTS = Facts(
    Usage(9, 10, 4, 3), Cost(COST_NANOUSD, "provider"), MODEL, "Parasail", ID
)  # fmt: skip


def run(blocks: bytes | Iterable[bytes], choices: int = 1) -> tuple[bytes, CommitGate]:
    """Feed blocks as the relay does: up to the end, and not beyond it."""
    gate = CommitGate(choices)
    out = b""
    for block in [blocks] if isinstance(blocks, bytes) else blocks:
        out += gate.feed(block)
        if gate.is_over:
            return out, gate
    return out + gate.end(), gate


def kind_of(gate: CommitGate) -> FailureClass | None:
    return gate.failure.kind if gate.failure is not None else None


# Chunking


STREAMS = {
    "as OpenRouter writes": WHOLE,
    "CRLF": WHOLE.replace(b"\n", b"\r\n"),
    "CR": WHOLE.replace(b"\n", b"\r"),
    "without DONE": WHOLE.removesuffix(DONE),
    "without a last blank line": WHOLE[:-2],
    "raw UTF-8": WHOLE.replace(b"\\u00e9", "é".encode()),
    "spaced": WHOLE.replace(b'":', b'": '),
    "error in the middle": COMMENT + HELLO + event(choices=[], error={"code": 502}) + DONE,
    "garbage in the middle": HELLO + b"data: {oh\n\n" + DONE,
    "cut off": WHOLE[: WHOLE.index(b"there")],
    "empty": COMMENT + ROLE + finish() + DONE,
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_a_stream_means_the_same_wherever_it_is_cut(stream: bytes) -> None:
    """F29: every byte is tried as the place between two reads, and every byte as a read."""
    expected, whole = run(stream)
    cuts = [[stream[:at], stream[at:]] for at in range(1, len(stream))]
    for blocks in (*cuts, [stream[at : at + 1] for at in range(len(stream))]):
        out, gate = run(blocks)
        assert out == expected
        assert gate.facts() == whole.facts()
        assert gate.failure == whole.failure
        assert (gate.note, gate.is_committed, gate.is_done, gate.held()) == (
            whole.note,
            whole.is_committed,
            whole.is_done,
            whole.held(),
        )


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A valid stream of any text, with comments anywhere and any of the usage chunks."""
    texts = draw(st.lists(st.text(max_size=20), min_size=1, max_size=5))
    ascii_only = draw(st.booleans())
    parts = [COMMENT, ROLE]
    for text in ["x", *texts]:
        body = {"model": MODEL, "choices": [choice({"content": text})]}
        parts.append(b"data: " + json.dumps(body, ensure_ascii=ascii_only).encode() + b"\n\n")
        parts += [COMMENT] * draw(st.integers(0, 1))
    tail = draw(st.sampled_from([usage(), event(choices=[choice({}, "stop")], usage=USAGE), b""]))
    stream = b"".join([*parts, finish(), tail, DONE])
    return stream.replace(b"\n", draw(st.sampled_from([b"\n", b"\r\n"])))


@settings(max_examples=examples(80))
@given(streams(), st.lists(st.integers(1, 2000), max_size=20))
def test_any_chunking_of_a_valid_stream_passes_every_byte(stream: bytes, cuts: list[int]) -> None:
    """F29, F30"""
    places = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
    blocks = [stream[a:b] for a, b in itertools.pairwise(places)]
    out, gate = run(blocks)
    assert out == stream
    assert gate.failure is None
    assert gate.facts() == run(stream)[1].facts()


@settings(max_examples=examples(80))
@given(st.lists(st.sampled_from([COMMENT, HELLO, finish(), DONE, b"data: {", b"\n", b"\xff\n\n"])))
def test_whatever_comes_out_of_any_bytes_is_part_of_them(blocks: list[bytes]) -> None:
    """F27: nothing is raised or invented, but for a missing [DONE] and a missing blank line."""
    out, gate = run(blocks)
    assert (b"".join(blocks) + b"\n\n" + DONE).startswith(out.removesuffix(DONE))
    assert gate.is_over
    assert out == b"" or gate.is_committed


# Before the commit


def test_what_has_no_substance_is_held_and_then_goes_out_first() -> None:
    """F20: until then another model may still answer."""
    gate = CommitGate()
    debug = event(choices=[], debug={"echo": "x"})
    for block in (COMMENT, debug, ROLE, event(choices=[choice({})])):
        assert gate.feed(block) == b""
    assert not gate.is_committed
    held = gate.held()
    assert held == COMMENT + debug + ROLE + event(choices=[choice({})])
    assert gate.feed(content("Hi")) == held + content("Hi")
    assert gate.is_committed
    assert gate.held() == b""


@pytest.mark.parametrize(
    "fields",
    [
        {"content": "x"},
        {"content": [{"type": "text", "text": "x"}]},
        {"reasoning": "Hm"},
        {"reasoning_content": "Hm"},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]},
        {"tool_calls": [{"index": 0, "function": {"name": "f"}}]},
        {"function_call": {"name": "f"}},
        {"refusal": "No."},
        {"images": [{"image_url": {"url": "data:image/png;base64,x"}}]},
        {"audio": {"data": "x"}},
    ],
    ids=lambda fields: "-".join(fields),
)
def test_substance_commits(fields: dict[str, Any]) -> None:
    gate = CommitGate()
    assert gate.feed(delta(**fields)) == delta(**fields)
    assert gate.is_committed


def test_a_message_in_place_of_a_delta_and_plain_text_commit_too() -> None:
    for one in ({"index": 0, "message": {"content": "x"}}, {"index": 0, "text": "x"}):
        gate = CommitGate()
        assert gate.feed(event(choices=[one])) == event(choices=[one])


@pytest.mark.parametrize(
    "fields",
    [{"content": ""}, {"content": None}, {"tool_calls": []}, {"reasoning": None, "refusal": ""}],
    ids=["empty content", "no content", "no tool calls", "nulls"],
)
def test_empty_fields_do_not_commit(fields: dict[str, Any]) -> None:
    gate = CommitGate()
    assert gate.feed(delta(**fields)) == b""
    assert not gate.is_committed


def test_comments_for_ever_are_forgotten_and_events_are_not() -> None:
    """F18: a provider that only says that it is at work fills no memory."""
    gate = CommitGate()
    gate.feed(COMMENT + ROLE)
    for _ in range(3 * HELD_LIMIT // len(COMMENT)):
        assert gate.feed(COMMENT) == b""
        assert len(gate.held()) <= HELD_LIMIT
    assert gate.failure is None
    assert gate.events == 1
    out = gate.feed(content("Hi"))
    assert out.startswith(ROLE)
    assert out.endswith(content("Hi"))


def test_more_than_the_limit_without_substance_is_refused() -> None:
    gate = CommitGate()
    while not gate.is_over:
        assert gate.feed(ROLE) == b""
        assert len(gate.held()) <= HELD_LIMIT + len(ROLE)
    assert kind_of(gate) is C.PROTOCOL


def test_idle_deadlines_can_tell_events_from_comments() -> None:
    """F18, F21: comments flow while nothing happens."""
    gate = CommitGate()
    gate.feed(COMMENT + content("a"))
    assert gate.events == 1
    gate.feed(COMMENT)
    assert gate.events == 1
    gate.feed(content("b"))
    assert gate.events == 2


# Usage


@pytest.mark.parametrize(
    "tail",
    [
        finish() + usage(),
        finish() + event(choices=[choice({"content": ""})], usage=USAGE),
        finish() + event(choices=[choice({"content": ""}, "stop")], usage=USAGE),
        event(choices=[choice({"content": ""}, "stop")], usage=USAGE),
        usage() + finish(),
        finish() + usage(prompt_tokens=1, completion_tokens=1, cost=9) + usage(),
        finish() + usage() + event(choices=[], usage=None),
    ],
    ids=[
        "no choices",
        "finish null",
        "finish repeated",
        "beside the finish",
        "before the finish",
        "twice, the last one counts",
        "null behind it",
    ],
)
def test_usage_is_taken_from_whatever_chunk_has_it(tail: bytes) -> None:
    """F38: three shapes exist on the wire, and providers send more."""
    stream = HELLO + tail + DONE
    out, gate = run(stream)
    assert out == stream
    assert gate.facts() == WHOLE_FACTS
    assert gate.note is None


def test_usage_null_on_every_chunk_is_no_usage() -> None:
    stream = HELLO.replace(b',"choices"', b',"usage":null,"choices"') + finish() + DONE
    out, gate = run(stream)
    assert out == stream
    assert gate.facts() == Facts(NO_USAGE, None, MODEL, "Parasail", ID)


def test_usage_without_sense_is_left_out() -> None:
    """F38: never negative, whatever is sent."""
    odd = usage(prompt_tokens=-1, completion_tokens="many", cost=-2)
    _, gate = run(HELLO + finish() + odd + DONE)
    assert gate.facts().usage == Usage(None, None, 4, 3)
    assert gate.facts().cost is None


def test_the_word_usage_in_a_text_is_no_usage() -> None:
    text = 'the key "usage": {"cost": 5} and "finish_reason":"stop" and data: [DONE] and "error"'
    out, gate = run([content("a"), content(text), finish(), DONE])
    assert out == content("a") + content(text) + finish() + DONE
    assert gate.facts().cost is None
    assert gate.failure is None


def test_the_facts_are_those_of_the_answer() -> None:
    """F39: the model that served may be another than the one that was asked for."""
    dated = b"deepseek/deepseek-v4-pro-20260423"
    _, gate = run(WHOLE.replace(MODEL.encode(), dated))
    assert gate.facts().model == dated.decode()


def test_facts_that_are_no_printable_text_are_left_out() -> None:
    """T17: they go into rows, logs and headers."""
    gate = CommitGate()
    gate.feed(event(model="a\nb", provider=7, choices=[choice({"content": "x"})]))
    assert gate.facts() == Facts(generation_id=ID)
    long = CommitGate()
    long.feed(event(model="m" * 5000, choices=[]))
    assert long.facts().model == "m" * 256


# The end


def test_done_ends_the_answer_and_nothing_behind_it_counts() -> None:
    """F25"""
    extra = content("more") + event(choices=[], error={"code": 500}, usage={"cost": 1})
    for blocks in ([WHOLE + extra], [WHOLE, extra]):
        out, gate = run(blocks)
        assert out == WHOLE
        assert gate.is_done
        assert gate.facts() == WHOLE_FACTS
    assert run([WHOLE + extra])[1].has_more
    assert not run([WHOLE])[1].has_more


def test_a_finish_without_done_is_completed_and_gets_its_done() -> None:
    """F24"""
    out, gate = run(WHOLE.removesuffix(DONE))
    assert out == WHOLE
    assert gate.failure is None
    assert gate.note == "no [DONE]"


def test_done_without_a_finish_is_taken_at_its_word() -> None:
    out, gate = run(HELLO + usage() + DONE)
    assert out == HELLO + usage() + DONE
    assert gate.failure is None
    assert gate.note == "no finish_reason"


def test_neither_finish_nor_done_is_truncated() -> None:
    """F23: nobody makes up a stop."""
    out, gate = run(HELLO)
    assert out == HELLO
    assert kind_of(gate) is C.TRUNCATED
    assert not gate.is_done


@pytest.mark.parametrize(
    "stream", [b"", COMMENT, COMMENT + ROLE], ids=["nothing", "comments", "role"]
)
def test_an_end_before_any_substance_can_be_cured(stream: bytes) -> None:
    """F20"""
    out, gate = run(stream)
    assert out == b""
    assert kind_of(gate) is C.PROTOCOL


def test_an_empty_finish_reason_is_no_finish() -> None:
    """Some providers send `""` on every chunk until the last."""
    empty = delta("", content="x")
    _, gate = run(empty + empty)
    assert kind_of(gate) is C.TRUNCATED


def test_a_last_event_without_its_blank_line_still_counts() -> None:
    for missing in (1, 2):
        out, gate = run(WHOLE[:-missing])
        assert out == WHOLE
        assert gate.failure is None
        assert gate.note is None


@pytest.mark.parametrize(
    "torn",
    [b"data: [DO", usage()[:-40], b"dat", COMMENT[:9], b"data"],
    ids=["DONE", "usage", "field", "comment", "empty field"],
)
def test_a_torn_event_behind_the_finish_does_not_spoil_a_whole_answer(torn: bytes) -> None:
    out, gate = run(HELLO + finish() + torn)
    assert gate.failure is None
    assert out.startswith(HELLO + finish())
    assert out.endswith(b"\n\n" + DONE)
    assert gate.note == "no [DONE]"


def test_a_torn_event_before_the_finish_is_truncated_and_not_passed() -> None:
    """F36"""
    out, gate = run(HELLO + finish()[:-9])
    assert out == HELLO
    assert kind_of(gate) is C.TRUNCATED


@pytest.mark.parametrize("asked_for", [1, 2])
def test_every_choice_must_finish(asked_for: int) -> None:
    """F23: those that were asked for, and those that have begun."""
    both = event(choices=[{"index": n, "delta": {"content": "x"}} for n in (0, 1)])
    one = both + finish()
    _, gate = run(one, choices=asked_for)
    assert kind_of(gate) is C.TRUNCATED
    out, gate = run(one + finish(index=1), choices=asked_for)
    assert out == one + finish(index=1) + DONE
    assert gate.failure is None


def test_a_choice_without_a_number_is_the_first() -> None:
    _, gate = run(event(choices=[{"delta": {"content": "x"}, "finish_reason": "stop"}]))
    assert gate.failure is None


def test_a_finish_without_a_token_is_empty_and_kept() -> None:
    """The last candidate's empty answer passes as it is."""
    stream = COMMENT + ROLE + finish() + usage(completion_tokens=0) + DONE
    out, gate = run(stream)
    assert out == b""
    assert kind_of(gate) is C.EMPTY
    assert gate.held() == stream


def test_a_finish_with_only_the_token_that_ends_it_is_empty() -> None:
    """Many servers count it; it used to pass for an answer."""
    _, gate = run(
        ROLE + finish() + usage(completion_tokens=1, completion_tokens_details=None) + DONE
    )
    assert kind_of(gate) is C.EMPTY


def test_an_empty_answer_without_done_is_kept_whole() -> None:
    _, gate = run(ROLE + finish())
    assert kind_of(gate) is C.EMPTY
    assert gate.held() == ROLE + finish() + DONE


def test_tokens_that_nobody_sees_are_an_answer_all_the_same() -> None:
    stream = ROLE + finish("length") + usage() + DONE
    out, gate = run(stream)
    assert out == stream
    assert gate.failure is None


def test_a_content_filter_is_an_answer_and_not_empty() -> None:
    """Falling back would evade the policy."""
    stream = ROLE + finish("content_filter") + usage(completion_tokens=0) + DONE
    out, gate = run(stream)
    assert out == stream
    assert gate.failure is None


def test_a_finish_that_says_error_is_no_end() -> None:
    out, gate = run(HELLO + finish("error") + DONE)
    assert out == HELLO + finish("error")
    assert kind_of(gate) is C.ERROR_MID
    out, gate = run(ROLE + finish("error") + DONE)
    assert out == b""
    assert kind_of(gate) is C.UPSTREAM_5XX


# Errors as events

ERRORS = {
    "number": ({"code": 502, "message": "gone"}, C.UPSTREAM_5XX, 502),
    "word": ({"code": "server_error", "message": "gone"}, C.UPSTREAM_5XX, 500),
    "no code": ({"message": "gone"}, C.UPSTREAM_5XX, 502),
    "text alone": ("gone", C.UPSTREAM_5XX, 502),
    "rate": ({"code": 429, "metadata": {"retry_after_seconds": 7}}, C.RATE_LIMITED, 429),
    "rate in words": ({"code": "rate_limit_exceeded"}, C.RATE_LIMITED, 429),
    "request": ({"code": 400, "message": "prompt is too long"}, C.REQUEST, 400),
    "error type": ({"metadata": {"error_type": "context_length_exceeded"}}, C.REQUEST, 400),
    "credit": ({"code": 402}, C.NO_CREDIT, 402),
    "key": ({"code": 401}, C.AUTH, 401),
    "model": ({"code": 404, "message": "No endpoints found for a/b."}, C.MODEL_GONE, 404),
    "policy": ({"code": 403, "metadata": {"reasons": ["x"]}}, C.POLICY, 403),
}
SHAPES = {
    "choices": lambda error: event(error=error, choices=[choice({"content": ""}, "error")]),
    "no choices": lambda error: event(error=error, choices=[]),
    "bare": lambda error: b"data: " + json.dumps({"error": error}).encode() + b"\n\n",
    "in the choice": lambda error: event(choices=[{"index": 0, "error": error, "delta": {}}]),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(("error", "kind", "status"), ERRORS.values(), ids=ERRORS)
def test_an_error_as_the_first_event_is_judged_by_its_own_code(
    error: object, kind: FailureClass, status: int, shape: Any
) -> None:
    """F15, F17: the HTTP status was 200; the client has seen nothing and another may answer."""
    out, gate = run(COMMENT + shape(error) + DONE)
    assert out == b""
    assert not gate.error_passed
    assert gate.events == 1
    assert gate.failure is not None
    assert (gate.failure.kind, gate.failure.http_status) == (kind, status)


def test_an_error_event_says_how_long_to_wait() -> None:
    _, gate = run(event(choices=[], error={"code": 429, "metadata": {"retry_after_seconds": 7}}))
    assert gate.failure is not None
    assert gate.failure.retry_after_s == 7


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("code", [502, "server_error", None], ids=["number", "word", "no code"])
def test_an_error_in_the_middle_passes_as_it_is_and_ends_the_stream(shape: Any, code: Any) -> None:
    """F26"""
    bad = shape({"message": "Provider disconnected", "code": code})
    for blocks in ([HELLO + bad + content("more") + DONE], [HELLO, bad, content("more")]):
        out, gate = run(blocks)
        assert out == HELLO + bad
        assert gate.error_passed
        assert kind_of(gate) is C.ERROR_MID


@pytest.mark.parametrize(
    "name", ["rate", "rate in words", "request", "error type", "credit", "key", "policy"]
)
def test_in_the_middle_too_a_limit_or_somebody_elses_fault_is_not_the_models(name: str) -> None:
    """F26: it must not count against the model's breaker."""
    error, kind, _ = ERRORS[name]
    out, gate = run(HELLO + event(choices=[], error=error))
    assert out == HELLO + event(choices=[], error=error)
    assert kind_of(gate) is kind
    assert kind.rule.counts == "nothing"


def test_error_null_is_no_error() -> None:
    stream = event(error=None, choices=[choice({"content": "x"})]) + finish() + DONE
    assert run([stream])[0] == stream
    assert run([content("a"), stream])[0] == content("a") + stream


# Bytes that are no stream


@pytest.mark.parametrize(
    "garbage",
    [
        b"data: {oh\n\n",
        b"data: [1]\n\n",
        b"data: null\n\n",
        b'data: {"a":"\xff"}\n\n',
        b"data: " + b"[" * 5000 + b"\n\n",
        b'data: {"choices":[{"delta":{"content":NaN}}]}\n\n',
        b"data: <html></html>\n\n",
        b"data: \xff\xfe\n\n",
    ],
    ids=["torn", "list", "null", "UTF-8", "depth", "NaN", "HTML", "bytes"],
)
def test_garbage_is_never_passed(garbage: bytes) -> None:
    """F27: before the commit another model may answer, after it the stream breaks off."""
    out, gate = run(COMMENT + garbage)
    assert (out, kind_of(gate)) == (b"", C.PROTOCOL)
    for blocks in ([HELLO + garbage + DONE], [HELLO, garbage, DONE]):
        out, gate = run(blocks)
        assert (out, kind_of(gate)) == (HELLO, C.TRUNCATED)
        assert not gate.error_passed


def test_half_an_emoji_passes() -> None:
    """Providers cut strings between the halves of a surrogate pair; clients join them again."""
    halves = rb'data: {"choices":[{"index":0,"delta":{"content":"\ud83d"},"finish_reason":null}]}'
    stream = halves + b"\n\n" + halves.replace(rb"\ud83d", rb"\ude00") + b"\n\n" + finish() + DONE
    out, gate = run(stream)
    assert out == stream
    assert gate.failure is None


@settings(max_examples=examples(40))
@given(objects(["choices", "delta", "error", "usage", "id", "finish_reason", "content", "code"]))
def test_no_object_upsets_it(chunk: dict[str, Any]) -> None:
    """T42: upstream is untrusted input."""
    bad = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    run([bad, HELLO, bad, finish(), bad, DONE])


def test_odd_but_valid_chunks_pass() -> None:
    odd = event(choices=None) + event(choices=["x", {"index": "0", "delta": []}]) + event(a=2**80)
    stream = content("x") + odd + finish() + DONE
    out, gate = run(stream)
    assert out == stream
    assert gate.failure is None


def test_events_of_other_kinds_and_lines_of_other_fields_pass() -> None:
    stream = b"event: ping\n\nid: 7\nretry: 10\n" + HELLO + b"event: x\n" + finish() + DONE
    out, gate = run([stream[:30], stream[30:]])
    assert out == stream
    assert gate.failure is None


def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """F28, T22: its memory is bounded; what came before it stays."""
    endless = b"data: " + b"x" * (EVENT_LIMIT // 4)
    gate = CommitGate()
    assert gate.feed(endless) == b""
    while not gate.is_over:
        assert gate.feed(endless) == b""
    assert kind_of(gate) is C.EVENT_TOO_LARGE
    out, gate = run([HELLO, *[endless] * 5])
    assert (out, kind_of(gate)) == (HELLO, C.EVENT_TOO_LARGE)


def test_finish_reasons_without_end_are_not_collected() -> None:
    """T22 T42: nor long ones."""
    gate = CommitGate()
    gate.feed(HELLO)
    for index in range(3000):
        gate.feed(event(choices=[{"index": index, "delta": {}, "finish_reason": "x" * 10_000}]))
    assert len(gate._finishes) == 1024
    assert set(gate._finishes.values()) == {"x" * 64}


def test_a_megabyte_in_one_event_passes() -> None:
    """F28: images come in one line."""
    stream = delta(images=[{"image_url": {"url": "x" * 2**20}}]) + finish() + DONE
    out, _ = run([stream[at : at + 65_536] for at in range(0, len(stream), 65_536)])
    assert out == stream


def test_events_that_carry_only_content_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly all events are such, so they pay for nothing else."""
    gate = CommitGate()
    gate.feed(content("first"))
    monkeypatch.setattr(commit, "decode_object", lambda data: pytest.fail("decoded"))
    for text in ("plain", 'a "quoted" word', "caf\u00e9"):
        assert gate.feed(content(text) + content(text)) == content(text) * 2


@pytest.mark.parametrize("empty", [b"data:\n\n", b"data: \n\n", b"data\n\n"])
def test_an_event_without_data_is_none_and_is_not_passed(empty: bytes) -> None:
    """To SSE it is no event, and clients' parsers choke on it."""
    gate = CommitGate()
    out = gate.feed(empty + content("Hi") + empty) + gate.feed(empty + content("!"))
    assert out == content("Hi") + content("!")
    assert gate.failure is None
    assert gate.events == 2
