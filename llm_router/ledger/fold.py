"""Journal entries of one batch, folded into the rows they come to.

A request whose entries all lie in one batch becomes one row written once. Pure: no file, no SQL,
no clock of its own.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

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
    Usage,
)

T = TypeVar("T")

# What a provider can claim and sums must bear; beyond it the number is unknown.
_MAX_TOKENS = 1_000_000_000
_MAX_NANOUSD = 10**15


@dataclass(slots=True)
class RequestRow:
    """What a batch says of one request; None where it says nothing. Fields are columns."""

    id: str
    process: str
    started_at: str
    requested_model: str | None = None
    is_stream: bool = False
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


@dataclass(slots=True)
class AttemptRow:
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
    """Rows and the journal positions they came from: written together or not at all."""

    requests: dict[str, RequestRow] = field(default_factory=dict)
    attempts: dict[str, AttemptRow] = field(default_factory=dict)
    breakers: list[BreakerChanged] = field(default_factory=list)
    advances: list[Advance] = field(default_factory=list)


class Fold:
    """Collects the entries of one batch. `now` (unix seconds) stands in for a missing start."""

    def __init__(self, now: float) -> None:
        self.batch = Batch()
        self._now = now
        self._folds: dict[type, Callable[[Any, str], None]] = {
            RequestStarted: self._request_started,
            RequestDecided: self._request_decided,
            RequestFinished: self._request_finished,
            AttemptStarted: self._attempt_started,
            AttemptAnswered: self._attempt_answered,
            AttemptFinished: self._attempt_finished,
            BreakerChanged: self._breaker_changed,
        }

    def add(self, entries: Iterable[Entry], process: str) -> None:
        """Fold entries in the order they were appended; the later says the truth."""
        folds = self._folds
        for entry in entries:
            folds[type(entry)](entry, process)

    def _request_started(self, entry: RequestStarted, process: str) -> None:
        row = self._request(entry.id, process, entry.at)
        row.requested_model = entry.requested_model
        row.is_stream = entry.is_stream
        row.client_key = entry.client_key
        row.session = entry.session

    def _request_decided(self, entry: RequestDecided, process: str) -> None:
        row = self._request(entry.id, process, self._now)
        row.category = entry.category
        row.classifier = entry.classifier
        row.confidence = entry.confidence
        row.classifier_ms = entry.classifier_ms

    def _request_finished(self, entry: RequestFinished, process: str) -> None:
        row = self._request(entry.id, process, entry.at)
        row.finished_at = _text(entry.at)
        row.outcome = entry.outcome
        row.attempts = max(entry.attempts, row.attempts)
        row.http_status = _later(entry.http_status, row.http_status)
        row.error_class = _later(entry.error_class, row.error_class)
        row.served_model = _later(entry.served_model, row.served_model)
        row.time_to_first_chunk_ms = _later(
            entry.time_to_first_chunk_ms, row.time_to_first_chunk_ms
        )
        row.total_ms = entry.total_ms
        row.overhead_ms = _later(entry.overhead_ms, row.overhead_ms)
        _spend(row, entry.usage, entry.cost)

    def _attempt_started(self, entry: AttemptStarted, process: str) -> None:
        row = self._attempt(entry.id, process, entry.at)
        row.request_id = entry.request_id
        row.seq = entry.seq
        row.kind = entry.kind
        row.model = entry.model

    def _attempt_finished(self, entry: AttemptFinished, process: str) -> None:
        row = self._attempt(entry.id, process, entry.at)
        row.finished_at = _text(entry.at)
        row.outcome = entry.outcome
        row.http_status = _later(entry.http_status, row.http_status)
        row.error_class = _later(entry.error_class, row.error_class)
        row.served_model = _later(entry.served_model, row.served_model)
        row.provider = _later(entry.provider, row.provider)
        row.generation_id = _later(entry.generation_id, row.generation_id)
        row.time_to_first_chunk_ms = _later(
            entry.time_to_first_chunk_ms, row.time_to_first_chunk_ms
        )
        row.total_ms = entry.total_ms
        row.note = _later(entry.note, row.note)
        _spend(row, entry.usage, entry.cost)

    def _attempt_answered(self, entry: AttemptAnswered, process: str) -> None:
        row = self._attempt(entry.id, process, self._now)
        row.generation_id = entry.generation_id

    def _breaker_changed(self, entry: BreakerChanged, process: str) -> None:
        self.batch.breakers.append(entry)

    def _request(self, id: str, process: str, at: float) -> RequestRow:
        row = self.batch.requests.get(id)
        if row is None:
            row = self.batch.requests[id] = RequestRow(id, process, _text(at))
        return row

    def _attempt(self, id: str, process: str, at: float) -> AttemptRow:
        row = self.batch.attempts.get(id)
        if row is None:
            row = self.batch.attempts[id] = AttemptRow(id, process, _text(at))
        return row


def _spend(row: RequestRow | AttemptRow, usage: Usage, cost: Cost) -> None:
    row.prompt_tokens = _tokens(usage.prompt_tokens, row.prompt_tokens)
    row.completion_tokens = _tokens(usage.completion_tokens, row.completion_tokens)
    row.cached_tokens = _tokens(usage.cached_tokens, row.cached_tokens)
    row.reasoning_tokens = _tokens(usage.reasoning_tokens, row.reasoning_tokens)
    if cost.nanousd is not None and 0 <= cost.nanousd <= _MAX_NANOUSD:
        row.cost_nanousd = cost.nanousd
        row.cost_source = cost.source
    elif row.cost_nanousd is None:
        row.cost_source = "unknown"


def _tokens(said: int | None, before: int | None) -> int | None:
    return said if said is not None and 0 <= said <= _MAX_TOKENS else before


def _later(said: T | None, before: T | None) -> T | None:
    """A correction replaces what was said before; saying nothing does not unsay it."""
    return before if said is None else said


def _text(unix_s: float) -> str:
    """`utc_text` for many times that share their second."""
    seconds, micros = divmod(round(unix_s * 1e6), 1_000_000)
    return f"{_second(seconds)}.{micros // 1000:03d}Z"


@lru_cache(maxsize=64)
def _second(unix_s: int) -> str:
    return utc_text(unix_s)[:19]
