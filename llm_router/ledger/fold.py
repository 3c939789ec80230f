"""Journal entries of one batch, folded into the rows they come to.

A request whose entries all lie in one batch becomes one row written once. Pure: no file, no SQL,
no clock of its own. Every request passes through here on the event loop, hence structs that the
garbage collector need not look at, and few calls per entry.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from msgspec import Struct

from llm_router.clock import utc_text
from llm_router.ledger.entry import (
    AttemptAnswered,
    AttemptFinished,
    AttemptStarted,
    BreakerChanged,
    Cost,
    CostSource,
    Entry,
    Kind,
    Outcome,
    RequestDecided,
    RequestFinished,
    RequestStarted,
    SessionKept,
    ShadowDecided,
    TextKept,
    Usage,
)

# What a provider can claim and sums must bear; beyond it the number is unknown.
_MAX_TOKENS = 1_000_000_000
_MAX_NANOUSD = 10**15


class RequestRow(Struct, gc=False):
    """What a batch says of one request; None where it says nothing. Fields are columns."""

    id: str
    process: str
    started_at: str
    requested_model: str | None = None
    is_stream: int = 0
    client_key: str | None = None
    session: str | None = None
    category: str | None = None
    classifier: str | None = None
    confidence: float | None = None
    classifier_ms: int | None = None
    finished_at: str | None = None
    outcome: Outcome | None = None
    http_status: int | None = None
    error_class: str | None = None
    served_model: str | None = None
    attempts: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_nanousd: int | None = None
    cost_source: CostSource | None = None
    time_to_first_chunk_ms: int | None = None
    total_ms: int | None = None
    overhead_ms: int | None = None
    rule: str | None = None
    runner_up: str | None = None
    runner_up_confidence: float | None = None
    skipped: str | None = None
    left_out: str | None = None


class AttemptRow(Struct, gc=False):
    """What a batch says of one upstream call; None where it says nothing. Fields are columns."""

    id: str
    process: str
    started_at: str
    request_id: str = ""
    seq: int = 0
    kind: Kind = "chat"
    model: str = ""
    served_model: str | None = None
    provider: str | None = None
    generation_id: str | None = None
    finished_at: str | None = None
    outcome: Outcome | None = None
    http_status: int | None = None
    error_class: str | None = None
    note: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_nanousd: int | None = None
    cost_source: CostSource | None = None
    time_to_first_chunk_ms: int | None = None
    total_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """How far a batch moves one journal segment; it is void unless that begins at `start`."""

    segment: str
    start: int
    end: int


@dataclass(slots=True)
class Batch:
    """Rows and the journal positions they came from: written together or not at all.

    `begun` are the ids of those requests and attempts whose beginning is among the entries, so no
    earlier batch should have written them.
    """

    requests: dict[str, RequestRow] = field(default_factory=dict)
    attempts: dict[str, AttemptRow] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    breakers: list[BreakerChanged] = field(default_factory=list)
    shadows: list[ShadowDecided] = field(default_factory=list)
    sessions: list[SessionKept] = field(default_factory=list)
    texts: list[TextKept] = field(default_factory=list)
    advances: list[Advance] = field(default_factory=list)


class Fold:
    """Collects the entries of one batch. `now` (unix seconds) stands in for a missing start."""

    def __init__(self, now: float) -> None:
        self.batch = Batch()
        self._requests, self._attempts = self.batch.requests, self.batch.attempts
        self._now = now
        self._folds: dict[type, Callable[[Any, str], None]] = {
            RequestStarted: self._request_started,
            RequestDecided: self._request_decided,
            RequestFinished: self._request_finished,
            AttemptStarted: self._attempt_started,
            AttemptAnswered: self._attempt_answered,
            AttemptFinished: self._attempt_finished,
            BreakerChanged: self._breaker_changed,
            ShadowDecided: self._shadow_decided,
            SessionKept: self._session_kept,
            TextKept: self._text_kept,
        }

    def add(self, entries: Iterable[Entry], process: str) -> None:
        """Fold entries in the order they were appended; the later says the truth."""
        folds = self._folds
        for entry in entries:
            folds[type(entry)](entry, process)

    def _request_started(self, entry: RequestStarted, process: str) -> None:
        row = RequestRow(
            entry.id,
            process,
            _text(entry.at),
            entry.requested_model,
            int(entry.is_stream),
            entry.client_key,
            entry.session,
        )
        self._requests.setdefault(entry.id, row)
        self.batch.begun.add(entry.id)

    def _request_decided(self, entry: RequestDecided, process: str) -> None:
        row = self._requests.get(entry.id) or self._request(entry.id, process, self._now)
        row.category = entry.category
        row.classifier = entry.classifier
        row.confidence = entry.confidence
        row.classifier_ms = entry.classifier_ms
        row.rule = entry.rule
        row.runner_up = entry.runner_up
        row.runner_up_confidence = entry.runner_up_confidence
        row.skipped = entry.skipped

    def _request_finished(self, entry: RequestFinished, process: str) -> None:
        row = self._requests.get(entry.id) or self._request(entry.id, process, entry.at)
        _end(row, entry)
        row.attempts = max(entry.attempts, row.attempts)
        if entry.overhead_ms is not None:
            row.overhead_ms = entry.overhead_ms
        if entry.left_out is not None:
            row.left_out = entry.left_out

    def _attempt_started(self, entry: AttemptStarted, process: str) -> None:
        row = AttemptRow(
            entry.id,
            process,
            _text(entry.at),
            entry.request_id,
            entry.seq,
            entry.kind,
            entry.model,
        )
        self._attempts.setdefault(entry.id, row)
        self.batch.begun.add(entry.id)

    def _attempt_answered(self, entry: AttemptAnswered, process: str) -> None:
        row = self._attempts.get(entry.id) or self._attempt(entry.id, process, self._now)
        row.generation_id = entry.generation_id

    def _attempt_finished(self, entry: AttemptFinished, process: str) -> None:
        row = self._attempts.get(entry.id) or self._attempt(entry.id, process, entry.at)
        _end(row, entry)
        if entry.provider is not None:
            row.provider = entry.provider
        if entry.generation_id is not None:
            row.generation_id = entry.generation_id
        if entry.note is not None:
            row.note = entry.note

    def _breaker_changed(self, entry: BreakerChanged, process: str) -> None:
        self.batch.breakers.append(entry)

    def _shadow_decided(self, entry: ShadowDecided, process: str) -> None:
        self.batch.shadows.append(entry)

    def _session_kept(self, entry: SessionKept, process: str) -> None:
        self.batch.sessions.append(entry)

    def _text_kept(self, entry: TextKept, process: str) -> None:
        self.batch.texts.append(entry)

    def _request(self, id: str, process: str, at: float) -> RequestRow:
        row = self._requests[id] = RequestRow(id, process, _text(at))
        return row

    def _attempt(self, id: str, process: str, at: float) -> AttemptRow:
        row = self._attempts[id] = AttemptRow(id, process, _text(at))
        return row


def _end(row: RequestRow | AttemptRow, entry: RequestFinished | AttemptFinished) -> None:
    """A correction replaces what was said before; saying nothing does not unsay it."""
    row.finished_at = _text(entry.at)
    row.outcome = entry.outcome
    row.total_ms = entry.total_ms
    if entry.http_status is not None:
        row.http_status = entry.http_status
    if entry.error_class is not None:
        row.error_class = entry.error_class
    if entry.served_model is not None:
        row.served_model = entry.served_model
    if entry.time_to_first_chunk_ms is not None:
        row.time_to_first_chunk_ms = entry.time_to_first_chunk_ms
    _spend(row, entry.usage, entry.cost)


def _spend(row: RequestRow | AttemptRow, usage: Usage, cost: Cost) -> None:
    if (count := usage.prompt_tokens) is not None and 0 <= count <= _MAX_TOKENS:
        row.prompt_tokens = count
    if (count := usage.completion_tokens) is not None and 0 <= count <= _MAX_TOKENS:
        row.completion_tokens = count
    if (count := usage.cached_tokens) is not None and 0 <= count <= _MAX_TOKENS:
        row.cached_tokens = count
    if (count := usage.reasoning_tokens) is not None and 0 <= count <= _MAX_TOKENS:
        row.reasoning_tokens = count
    if cost.nanousd is not None and 0 <= cost.nanousd <= _MAX_NANOUSD:
        row.cost_nanousd = cost.nanousd
        row.cost_source = cost.source
    elif row.cost_nanousd is None:
        row.cost_source = "unknown"


def _text(unix_s: float) -> str:
    """`utc_text` for many times that share their millisecond: rounded to µs, cut to ms."""
    return _millisecond(int(unix_s * 1e3 + 0.0005))


@lru_cache(maxsize=4096)
def _millisecond(unix_ms: int) -> str:
    return f"{_second(unix_ms // 1000)}.{unix_ms % 1000:03d}Z"


@lru_cache(maxsize=64)
def _second(unix_s: int) -> str:
    return utc_text(unix_s)[:19]
