"""Journal entries of one batch, folded into the rows they come to.

Which row an entry speaks of is decided here, what it says of it in `fill`. A request whose entries
all lie in one batch becomes one row written once. Pure: no file, no SQL, no clock of its own.
Every request passes through here on the event loop, hence structs that the garbage collector need
not look at, and few calls per entry.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from msgspec import Raw

from llm_router.ledger import fill
from llm_router.ledger.compact import ReadServed, RequestSent, RequestServed
from llm_router.ledger.entry import (
    AttemptAnswered,
    AttemptFinished,
    AttemptStarted,
    BreakerChanged,
    ReadEntry,
    RequestDecided,
    RequestFinished,
    RequestStarted,
    SessionKept,
    ShadowDecided,
    TextKept,
)
from llm_router.ledger.rows import AttemptRow, Batch, RequestRow
from llm_router.ledger.served import Served, begun, call_of, is_sound, told
from llm_router.ledger.stamps import stamp


class Fold:
    """Collects the entries of one batch. `now` (unix seconds) stands in for a missing start.

    `misread` are what went wrong with entries that hold something a newer program wrote.
    """

    def __init__(self, now: float) -> None:
        self.misread: list[ValueError] = []
        self._batch = Batch()
        self._requests, self._attempts = self._batch.requests, self._batch.attempts
        self._served, self._ended = self._batch.served, self._batch.ended
        self._begun = self._batch.begun
        self._sent: dict[str, tuple[RequestSent[Raw], str]] = {}
        self._answered: dict[str, AttemptAnswered] = {}
        self._now = now

    @property
    def batch(self) -> Batch:
        """What all entries so far come to."""
        self.settle(len(self._sent))
        return self._batch

    def settle(self, requests: int) -> bool:
        """Fold how so many began that are not served yet; return whether there are others."""
        for id in [*islice(self._sent, requests)]:
            self._begin(id)
        return bool(self._sent)

    def add(self, entries: Iterable[ReadEntry], process: str) -> None:
        """Fold entries in the order they were appended; the later says the truth."""
        for entry in entries:
            _FOLDS[type(entry)](self, entry, process)

    def _request_sent(self, entry: RequestSent[Raw], process: str) -> None:
        self._sent[entry.id] = entry, process

    def _request_served(self, entry: ReadServed, process: str) -> None:
        id = entry.id
        has_begun = id in self._sent
        try:
            if is_sound(entry) and (has_begun or not self._is_told_of(id)):
                groups = self._served if has_begun else self._ended
                labels = process, bytes(entry.sent.labels) + bytes(entry.labels)
                if (group := groups.get(labels)) is None:
                    group = groups[labels] = Served.like(entry, process)
                group.entries.append(entry)
                if has_begun:
                    del self._sent[id]
                    self._answered.pop(id, None)
                return
            if has_begun:
                self._begin(id)
            entries = told(entry)
        except ValueError as exc:
            self.misread.append(exc)
            return
        may_be_written = id not in self._begun
        self.add(entries, process)
        if may_be_written:
            self._begun -= {id, call_of(id)}

    def _is_told_of(self, id: str) -> bool:
        """Return whether this batch has a row for the request or its first call."""
        return id in self._requests or call_of(id) in self._attempts

    def _begin(self, id: str) -> None:
        """Tell how a request began that is not served within the batch."""
        entry, process = self._sent.pop(id)
        try:
            self.add(begun(entry), process)
        except ValueError as exc:
            self.misread.append(exc)
        if (answered := self._answered.pop(id, None)) is not None:
            self._attempt_answered(answered, process)

    def _request_started(self, entry: RequestStarted, process: str) -> None:
        self._requests.setdefault(entry.id, fill.request_row(entry, process))
        self._begun.add(entry.id)

    def _request_decided(self, entry: RequestDecided, process: str) -> None:
        row = self._requests.get(entry.id) or self._request(entry.id, process, self._now)
        fill.decide(row, entry)

    def _request_finished(self, entry: RequestFinished, process: str) -> None:
        row = self._requests.get(entry.id) or self._request(entry.id, process, entry.at)
        fill.end_request(row, entry)

    def _attempt_started(self, entry: AttemptStarted, process: str) -> None:
        self._attempts.setdefault(entry.id, fill.attempt_row(entry, process))
        self._begun.add(entry.id)

    def _attempt_answered(self, entry: AttemptAnswered, process: str) -> None:
        if (request_id := entry.id.removesuffix(".1")) in self._sent:
            self._answered[request_id] = entry  # which an end says again
            return
        row = self._attempts.get(entry.id) or self._attempt(entry.id, process, self._now)
        row.generation_id = entry.generation_id

    def _attempt_finished(self, entry: AttemptFinished, process: str) -> None:
        row = self._attempts.get(entry.id) or self._attempt(entry.id, process, entry.at)
        fill.end_attempt(row, entry)

    def _breaker_changed(self, entry: BreakerChanged, process: str) -> None:
        self._batch.breakers.append(entry)

    def _shadow_decided(self, entry: ShadowDecided, process: str) -> None:
        self._batch.shadows.append(entry)

    def _session_kept(self, entry: SessionKept, process: str) -> None:
        self._batch.sessions.append(entry)

    def _text_kept(self, entry: TextKept, process: str) -> None:
        self._batch.texts.append(entry)

    def _request(self, id: str, process: str, at: float) -> RequestRow:
        if id in self._sent:
            self._begin(id)
            if (begun := self._requests.get(id)) is not None:
                return begun
        row = self._requests[id] = RequestRow(id, process, stamp(at))
        return row

    def _attempt(self, id: str, process: str, at: float) -> AttemptRow:
        if (request_id := id.removesuffix(".1")) in self._sent:
            self._begin(request_id)
            if (begun := self._attempts.get(id)) is not None:
                return begun
        row = self._attempts[id] = AttemptRow(id, process, stamp(at))
        return row


_FOLDS: dict[type, Callable[[Fold, Any, str], None]] = {
    RequestSent: Fold._request_sent,
    RequestServed: Fold._request_served,
    RequestStarted: Fold._request_started,
    RequestDecided: Fold._request_decided,
    RequestFinished: Fold._request_finished,
    AttemptStarted: Fold._attempt_started,
    AttemptAnswered: Fold._attempt_answered,
    AttemptFinished: Fold._attempt_finished,
    BreakerChanged: Fold._breaker_changed,
    ShadowDecided: Fold._shadow_decided,
    SessionKept: Fold._session_kept,
    TextKept: Fold._text_kept,
}


def rows_of(entry: ReadServed, process: str) -> tuple[RequestRow, AttemptRow]:
    """Return what such a request and its call come to by themselves."""
    fold = Fold(entry.sent.at)
    fold.add(told(entry), process)
    return fold.batch.requests[entry.id], fold.batch.attempts[call_of(entry.id)]
