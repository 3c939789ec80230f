"""What a classifier is given and what it answers."""

from typing import Any, Literal, Protocol

from msgspec import Struct

from llm_router.errors import RouterError
from llm_router.ledger.cost import NO_USAGE, Cost, Usage
from llm_router.ledger.entry import Outcome
from llm_router.routing.config import RoutingConfig

By = Literal["forced", "direct", "tools", "keywords", "local", "ollama", "api", "default"]


class Prompt(Struct, frozen=True, gc=False):
    """What the human asked, peeled out of the messages. `text` may be empty (an image alone)."""

    text: str
    has_tools: bool = False
    context: str = ""  # the user turn before it, for short follow-ups
    has_history: bool = False  # the assistant has answered before
    chore: str = ""  # a client's own small task (a title, tags), in words; not the human's
    is_step: bool = False  # the assistant is at work on it already: a tool step of the same turn


class Decision(Struct, frozen=True, gc=False):
    """`rule` says in words what decided; `runners_up` are other categories and their scores."""

    category: str
    by: By
    confidence: float | None = None
    rule: str = ""
    runners_up: tuple[tuple[str, float], ...] = ()
    skipped: tuple[str, ...] = ()  # steps that could not decide, and why: "ollama: timeout"


class FinishedCall(Struct, frozen=True, gc=False):
    """How a classifier's call ended, what its answer said of itself, and what it costs."""

    outcome: Outcome
    cost: Cost
    http_status: int | None = None
    error_class: str | None = None
    usage: Usage = NO_USAGE
    served_model: str | None = None
    provider: str | None = None
    generation_id: str | None = None
    note: str | None = None


class CallBook(Protocol):
    """Books the provider calls a classifier makes; each started call is finished exactly once."""

    def attempt_started(self, model: str) -> str:
        """Journal a classifier call that is about to leave; returns the attempt's id."""

    def attempt_finished(self, attempt_id: str, call: FinishedCall) -> None:
        """Book its end, possibly after the request's own."""


class NoBook:
    """The book of a classifier that calls nobody who bills: keywords, the local one, Ollama."""

    def attempt_started(self, model: str) -> str:
        raise AssertionError(f"{model} was called without a ledger")

    def attempt_finished(self, attempt_id: str, call: FinishedCall) -> None:
        raise AssertionError(f"{attempt_id} was never started")


class StepFault(RouterError):
    """A step cannot decide this time; `str()` is the reason, one of a few fixed wordings.

    `is_failure` says whether it is evidence against the step's service; busy or not yet loaded is
    not.
    """

    def __init__(self, reason: str, *, is_failure: bool = True) -> None:
        super().__init__(reason)
        self.is_failure = is_failure


class Step(Protocol):
    """One way to decide that may be slow, broken or wrong."""

    @property
    def name(self) -> By: ...

    async def decide(
        self, prompt: Prompt, config: RoutingConfig, book: CallBook, limit_s: float
    ) -> Decision:
        """Decide within `limit_s`. Raises StepFault, else nothing but CancelledError."""

    def status(self) -> str:
        """Return "ok" or, in a word or two, what is wrong, for /health."""

    async def start(self) -> None:
        """Begin what the step does in the background."""

    async def close(self) -> None: ...


class Judge(Protocol):
    """Decides by itself, at once and always."""

    @property
    def name(self) -> By: ...

    def judge(self, prompt: Prompt, config: RoutingConfig) -> Decision: ...

    def warm(self) -> None:
        """Read what judging takes; the first prompt would wait for it otherwise."""

    def sees_all(self, config: RoutingConfig) -> bool:
        """Whether every category has words to tell it by, so a sure answer leaves none out."""


class Classifier(Protocol):
    """The whole decision of a mode. Always answers, within the budget, whatever breaks."""

    async def decide(self, prompt: Prompt, config: RoutingConfig, book: CallBook) -> Decision: ...

    async def warm(self) -> None:
        """Read what deciding takes, in a thread; a prompt that comes meanwhile waits for it."""

    def status(self) -> dict[str, Any]:
        """Return `mode`, `steps` (name to "ok" or what is wrong) and `skipped`, for /health."""
