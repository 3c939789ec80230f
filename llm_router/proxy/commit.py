"""The commit gate: follows one candidate's stream and says what of it a client may see.

Pure: bytes in, bytes out. Before the commit (the first event with substance) everything is held, so
that another candidate may still answer; after it bytes pass unchanged, and only events that can
carry usage, an error or a finish are looked into.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from llm_router.ledger.cost import NO_USAGE, Cost, Usage
from llm_router.proxy.chunk import (
    choices_of,
    decode_object,
    error_in,
    has_substance,
    printable,
    says_nothing,
)
from llm_router.proxy.facts import Facts
from llm_router.routing.failures import Failure, FailureClass
from llm_router.upstream.failures import from_error_object
from llm_router.upstream.sse import EventSplitter, EventTooLarge, data_of, split_events
from llm_router.upstream.usage import parse_usage

HELD_LIMIT = 64 * 1024
DONE = b"data: [DONE]\n\n"
_MAX_FINISHES = 1024  # of answers to one request; providers give at most 128
_MAX_REASON = 64


class _PlainChoice(msgspec.Struct, gc=False):
    finish_reason: Literal[""] | None = None
    error: None = None


class _PlainChunk(msgspec.Struct, gc=False):
    """A chunk with nothing but content; what makes it more does not decode."""

    choices: list[_PlainChoice] | None = None
    usage: None = None
    error: None = None


_decode_plain = msgspec.json.Decoder(_PlainChunk).decode


class CommitGate:
    """`choices` is how many finish reasons make a whole answer (the request's `n`)."""

    def __init__(self, choices: int = 1) -> None:
        self._splitter = EventSplitter()
        self._choices = choices
        self._held = bytearray()
        self._finishes: dict[int, str] = {}  # by choice; "" for one that has none yet
        self.is_committed = False
        self.is_done = False  # [DONE] was seen: nothing that follows counts
        self.is_over = False  # done, or failed
        self.has_more = False  # something came behind the end
        self.failure: Failure | None = None
        self.error_passed = False  # the failure is the provider's own error event, already passed
        self.events = 0  # data events so far, for the idle deadline
        self._usage: Usage = NO_USAGE
        self._cost: Cost | None = None
        self._model: str | None = None
        self._provider: str | None = None
        self._generation_id: str | None = None
        self.note: str | None = None

    def passes(self, block: bytes) -> bool:
        """True if this block is to be written as it is and needs no `feed`: the frequent case."""
        if not self.is_committed or self.is_over or self._splitter.rest or not _is_plain(block):
            return False
        self.events += 1
        return True

    def feed(self, block: bytes) -> bytes:
        """Return what may be written now. Check `is_over` afterwards."""
        try:
            region = self._splitter.feed(block)
        except EventTooLarge as exc:
            self._fail(FailureClass.EVENT_TOO_LARGE, f"The provider sent {exc}.")
            return b""
        if not region:
            return b""
        if self.is_committed and _is_plain(region):
            self.events += 1
            return region
        return self._look(region)

    def end(self) -> bytes:
        """The connection ended cleanly: return what completes the answer, or set `failure`."""
        out = b""
        tail = bytes(self._splitter.rest).rstrip(b"\r\n")
        # Only a last event that merely lacks its blank line can still be used. Behind a finish
        # anything less is no loss: the answer is whole.
        if tail and not self.is_over and not (self.is_finished() and _is_torn(tail)):
            out = self._look(tail + b"\n\n")
        if self.is_over:
            return out
        if not self.is_finished():
            kind = FailureClass.TRUNCATED if self.is_committed else FailureClass.PROTOCOL
            self._fail(kind, "The provider's stream ended without a finish.")
            return out
        out += self._look(DONE)
        self.note = "no [DONE]"
        return out

    def held(self) -> bytes:
        """What was held back: the answer of a candidate that said nothing, when nobody else can."""
        return bytes(self._held)

    def facts(self) -> Facts:
        """What the stream has said about itself so far."""
        return Facts(self._usage, self._cost, self._model, self._provider, self._generation_id)

    def _look(self, region: bytes) -> bytes:
        out = bytearray()
        for event in split_events(region):
            if self.is_over:
                self.has_more = True
                break
            passes = self._event(event)
            if self.is_committed and self._held:
                out += self._held
                self._held.clear()
            if passes:
                (out if self.is_committed else self._held).extend(event)
                if self.is_over and event.endswith(b"\r\n\r"):
                    # Its line feed is on the way, and nobody will wait for it.
                    (out if self.is_committed else self._held).extend(b"\n")
        self._bound_held()
        return bytes(out)

    def _event(self, event: bytes) -> bool:
        """Take notice of one event; False when it must not be passed on."""
        data = data_of(event)
        if data is None:
            return True
        if not data:
            return False  # to SSE it is no event; clients' JSON parsers choke on it
        self.events += 1
        if data == b"[DONE]":
            self._done()
            return self.failure is None or self.failure.kind is FailureClass.EMPTY
        chunk = decode_object(data)
        if chunk is None:
            kind = FailureClass.TRUNCATED if self.is_committed else FailureClass.PROTOCOL
            self._fail(kind, "The provider sent an event that is not JSON.")
            return False
        choices = choices_of(chunk)
        self._read(chunk, choices)
        if error := error_in(chunk, choices):
            self._provider_error(error)
            self.error_passed = self.is_committed
            return self.is_committed
        if not self.is_committed and any(map(has_substance, choices)):
            self.is_committed = True
        return True

    def _read(self, chunk: dict[str, Any], choices: list[dict[str, Any]]) -> None:
        self._model = printable(chunk.get("model")) or self._model
        self._provider = printable(chunk.get("provider")) or self._provider
        self._generation_id = printable(chunk.get("id")) or self._generation_id
        if isinstance(chunk.get("usage"), dict):
            self._usage, self._cost = parse_usage(chunk["usage"])
        for choice in choices:
            index, reason = _index(choice), choice.get("finish_reason")
            if index not in self._finishes and len(self._finishes) >= _MAX_FINISHES:
                continue
            if reason and isinstance(reason, str):  # some providers send "" until the end
                self._finishes[index] = reason[:_MAX_REASON]
            else:
                self._finishes.setdefault(index, "")

    def _provider_error(self, error: object) -> None:
        failure = from_error_object(error, status=200)
        if self.is_committed and not _keeps_its_class(failure):
            failure = Failure(FailureClass.ERROR_MID, failure.message, failure.http_status)
        self._fail_with(failure)

    def _done(self) -> None:
        self.is_done = self.is_over = True
        reasons = {reason for reason in self._finishes.values() if reason}
        if "error" in reasons:
            kind = FailureClass.ERROR_MID if self.is_committed else FailureClass.UPSTREAM_5XX
            self._fail(kind, "The provider finished with an error.")
            return
        if not self.is_finished():
            self.note = "no finish_reason"  # some providers never send one; [DONE] is their word
        if not self.is_committed and says_nothing(reasons, self._usage):
            self._fail(FailureClass.EMPTY, "The model answered with nothing.")
            return
        self.is_committed = True

    def is_finished(self) -> bool:
        return len(self._finishes) >= self._choices and all(self._finishes.values())

    def _fail(self, kind: FailureClass, message: str) -> None:
        self._fail_with(Failure(kind, message, 200))

    def _fail_with(self, failure: Failure) -> None:
        self.failure, self.is_over = failure, True

    def _bound_held(self) -> None:
        """Comments may flow for a minute before the first event; they need not be remembered."""
        if len(self._held) > HELD_LIMIT:
            kept = [e for e in split_events(bytes(self._held)) if data_of(e) is not None]
            self._held = bytearray(b"".join(kept))
            if len(self._held) > HELD_LIMIT:
                self._fail(FailureClass.PROTOCOL, "The provider sent too much without substance.")


def _is_plain(region: bytes) -> bool:
    """True for whole events with nothing but content, as nearly all have; cheap on purpose."""
    lines = region.splitlines()
    if not region.endswith(b"\n\n") or any(lines[1::2]):
        return False
    try:
        if not region.isascii():
            region.decode()
        for line in lines[::2]:
            if line[:6] != b"data: ":
                return False
            _decode_plain(line[6:])
    except (ValueError, RecursionError):
        return False
    return True


def _is_torn(event: bytes) -> bool:
    data = data_of(event)
    return data not in (None, b"[DONE]") and decode_object(data) is None


def _keeps_its_class(failure: Failure) -> bool:
    """In the middle of an answer, too, limits and faults of others are no fault of the model."""
    rule = failure.rule
    return rule.fault in ("request", "account") or rule.cools == "model"


def _index(choice: Mapping[str, Any]) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else 0
