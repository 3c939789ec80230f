"""What a client is told when no candidate answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_router.errors import (
    HttpError,
    ModelNotFound,
    NoCandidate,
    NoCapableCandidate,
    Unavailable,
    UpstreamAccount,
    UpstreamFailed,
    UpstreamRefused,
    UpstreamTimeout,
)
from llm_router.routing.breaker import MODEL_GONE_S
from llm_router.routing.chain import GONE, Candidate
from llm_router.routing.failures import Failure, FailureClass
from llm_router.routing.permits import Refusal

_TIMEOUT_STATUSES = (408, 504, 524)


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one candidate; exactly one of the three is set."""

    candidate: Candidate
    left_out: str | None = None
    refusal: Refusal | None = None
    failure: Failure | None = None

    def report(self) -> dict[str, Any]:
        """Return it as it stands in `metadata.candidates`."""
        report: dict[str, Any] = {"model": self.candidate.model}
        if self.failure is not None:
            report["error_class"] = self.failure.kind.value
            if self.failure.http_status is not None:
                report["http_status"] = self.failure.http_status
        elif self.refusal is not None:
            report["skipped"] = self.refusal.reason
        else:
            report["left_out"] = self.left_out
        return report


def verdict(fates: Sequence[Fate], shut_for_s: float | None = None) -> HttpError:
    """Return the error that sums up a walk which ended without an answer.

    `shut_for_s` says for how long no candidate lets anybody in any more, if that is so.
    """
    failures = [fate.failure for fate in fates if fate.failure is not None]
    refusals = [fate.refusal for fate in fates if fate.refusal is not None]
    candidates = {"candidates": [fate.report() for fate in fates]}
    last = failures[-1] if failures else None
    if last is not None and last.rule.fault in ("request", "account", "router"):
        return failure_error(last)
    # What nobody who was asked can do is the request's own fault, its `provider` field's perhaps.
    if last is not None and not refusals and all(map(_is_incapable, failures)):
        return failure_error(last)
    if any(refusal.gate == "account" for refusal in refusals):
        return account_error(min(r.retry_after_s for r in refusals if r.gate == "account"))
    if fates and all(map(_is_gone, fates)):
        return _gone(fates, candidates)
    if not failures and not refusals:
        rules = "; ".join(f"{f.candidate.model}: {f.left_out}" for f in fates)
        return NoCapableCandidate(
            f"No model of this chain can serve the request. {rules}.", metadata=candidates
        )
    if _all_cool(failures, refusals):
        waits = [r.retry_after_s for r in refusals] + [f.retry_after_s or 5 for f in failures]
        return NoCandidate(
            "Every model of this chain is rate limited for the moment.",
            is_rate_limited=True,
            retry_after_s=min(waits),
            metadata=candidates,
        )
    if not failures:
        is_cut_off = all(refusal.gate == "transport" for refusal in refusals)
        return NoCandidate(
            "OpenRouter cannot be reached for the moment."
            if is_cut_off
            else "Every model of this chain is resting after failures.",
            retry_after_s=min(refusal.retry_after_s for refusal in refusals),
            metadata=candidates,
        )
    if all(map(_is_timeout, failures)):
        message = f"No model answered in time ({_tried(fates)})."
        kind: type[HttpError] = UpstreamTimeout
    else:
        message, kind = f"Every model that was tried failed ({_tried(fates)}).", UpstreamFailed
    return kind(message, metadata=candidates, retry_after_s=shut_for_s, is_final=True)


def failure_error(failure: Failure) -> HttpError:
    """Return the error for a failure that no other model could have cured."""
    if failure.rule.fault == "account":
        return account_error(failure.retry_after_s or failure.rule.closes_account_s or 60)
    if failure.rule.fault == "router":
        return Unavailable(failure.message, retry_after_s=5)
    facts = {
        "error_type": failure.upstream_error_type,
        "provider_name": failure.upstream_provider,
    }
    return UpstreamRefused(
        failure.upstream_message or failure.message,
        status=failure.http_status or 400,
        metadata={key: value for key, value in facts.items() if value},
        is_final=True,  # SDKs would repeat 409, 501 and 505
    )


def account_error(retry_after_s: float) -> UpstreamAccount:
    return UpstreamAccount(
        "OpenRouter does not accept this router's key or its credit is used up. "
        "The operator has to look at the key; the client's own key is fine.",
        retry_after_s=retry_after_s,
        is_final=True,
    )


def in_band_error(failure: Failure) -> Mapping[str, Any]:
    """Return the last event of a stream that broke off.

    Without `choices`: that is the shape which every client library takes for an error.
    """
    is_ours = failure.kind is FailureClass.DRAINING
    kind = "server_draining" if is_ours else failure.kind.value
    return {"error": {"message": failure.message, "code": 502, "type": kind}}


def _gone(fates: Sequence[Fate], candidates: Mapping[str, Any]) -> HttpError:
    if len(fates) == 1:
        model = fates[0].candidate.model
        message = f"OpenRouter does not know the model {model}, or has no provider for it."
        return ModelNotFound(message, param="model", metadata=candidates, is_final=True)
    message = "No model of this chain exists any more. The operator has to change the chain."
    if any(fate.failure is not None for fate in fates):
        return UpstreamFailed(message, metadata=candidates, is_final=True)
    waits = [fate.refusal.retry_after_s for fate in fates if fate.refusal is not None]
    return NoCandidate(
        message, retry_after_s=min(waits, default=MODEL_GONE_S), metadata=candidates, is_final=True
    )


def _is_gone(fate: Fate) -> bool:
    if fate.failure is not None:
        return fate.failure.kind is FailureClass.MODEL_GONE
    if fate.refusal is not None:
        return fate.refusal.reason.startswith(FailureClass.MODEL_GONE.value)
    return fate.left_out == GONE


def _is_incapable(failure: Failure) -> bool:
    return failure.kind is FailureClass.INCAPABLE


def _is_timeout(failure: Failure) -> bool:
    """Ours, or one that OpenRouter or its edge reports of somebody behind it."""
    return failure.rule.is_timeout or failure.http_status in _TIMEOUT_STATUSES


def _all_cool(failures: Sequence[Failure], refusals: Sequence[Refusal]) -> bool:
    return all(f.rule.cools == "model" for f in failures) and all(
        r.gate == "cooldown" for r in refusals
    )


def _tried(fates: Sequence[Fate]) -> str:
    return ", ".join(
        f"{fate.candidate.model}: {fate.failure.kind.value}"
        for fate in fates
        if fate.failure is not None
    )
