"""Breakers, and calls that meet them in one line each."""

from llm_router.ledger.entry import BreakerChanged
from llm_router.routing.breaker import Breakers
from llm_router.routing.failures import Failure, FailureClass
from llm_router.routing.permits import Permit, Refusal
from llm_router.routing.snapshot import BreakerView
from llm_router.settings import BreakerSettings
from tests.fakes.clock import Clock

C = FailureClass
MODEL = "z-ai/glm-5"
OTHER = "openai/gpt-4o-mini"
OPEN_S = 300.0
LEASE_S = 70.0
YEAR_S = 365 * 86_400.0


def make(
    clock: Clock, changes: list[BreakerChanged], boot_id: str | None = "boot-1", failures: int = 3
) -> Breakers:
    settings = BreakerSettings(failures=failures, open_s=OPEN_S)
    return Breakers(settings, clock, changes.append, lease_s=LEASE_S, boot_id=boot_id)


def admit(breakers: Breakers, model: str = MODEL, request_id: str = "r") -> Permit:
    permit = breakers.admit(model, request_id)
    assert isinstance(permit, Permit), permit
    return permit


def refuse(breakers: Breakers, model: str = MODEL) -> Refusal:
    refusal = breakers.admit(model, "refused")
    assert isinstance(refusal, Refusal), refusal
    assert breakers.peek(model) == refusal
    return refusal


def fail(
    kind: FailureClass, *, retry_after_s: float | None = None, rests_all: bool = False
) -> Failure:
    return Failure(
        kind, "it failed", http_status=503, retry_after_s=retry_after_s, rests_all=rests_all
    )


def fail_once(
    breakers: Breakers, kind: FailureClass = C.UPSTREAM_5XX, *, model: str = MODEL
) -> None:
    breakers.failed(admit(breakers, model), fail(kind))


def trip(breakers: Breakers, kind: FailureClass = C.UPSTREAM_5XX, *, model: str = MODEL) -> None:
    for _ in range(3):
        fail_once(breakers, kind, model=model)


def view(breakers: Breakers, subject: str = MODEL) -> BreakerView:
    return next(view for view in breakers.views() if view.subject == subject)


def states(changes: list[BreakerChanged]) -> list[tuple[str, str, str]]:
    return [(c.subject, c.from_state, c.to_state) for c in changes]


def moves(changes: list[BreakerChanged]) -> list[tuple[str, str, str]]:
    return [(subject, old, new) for subject, old, new in states(changes) if old != new]
