"""What an unwelcome answer of the provider means. Pure, and never raises, whatever came.

Errors come as an HTTP status, or inside a 200, in the body or as an event of the stream, once
work has begun. The HTTP status speaks first; what the body says only refines it.
"""

import re
import time
from collections.abc import Mapping

from llm_router.routing.failures import Failure, FailureClass
from llm_router.upstream import retry_after
from llm_router.upstream.evidence import Evidence, decoded, read_error, word

_C = FailureClass

_POLICY_WORDS = frozenset({"content_policy_violation", "refusal", "content_filter"})
_POLICY_FACTS = ("reasons", "flagged_input", "patterns")

# `error.availability.code`. What a request's own `provider` field or data policy filters out must
# not rest the model for everybody else, so that is incapable of this request, not gone.
_AVAILABILITY = {
    "model_not_found": _C.MODEL_GONE,
    "no_endpoints": _C.MODEL_GONE,
    "model_deprecated": _C.MODEL_GONE,
    "wrong_endpoint": _C.MODEL_GONE,
    "region_restricted": _C.MODEL_GONE,
    "free_variant_ended": _C.MODEL_GONE,
    "constraint_filtered": _C.INCAPABLE,
    "privacy_restricted": _C.INCAPABLE,
    "capacity_exhausted": _C.RATE_LIMITED,
    "temporarily_unavailable": _C.UPSTREAM_5XX,
    "model_unavailable_upstream": _C.UPSTREAM_5XX,
}
# One client's prompt must not close the account for all: what is blocked is never our key's fault.
_POLICY_SAYS = re.compile(
    r"moderation|flagged|guardrail|content polic|request blocked|prompt injection|sensitive info"
)
_INCAPABLE = re.compile(
    r"no endpoints (found|available) (that|matching|which|with)|no allowed providers|data policy"
)
# Anchored: a provider's 400 may quote the prompt, and a prompt must not put a model to rest.
_NOT_A_MODEL = re.compile(
    r"\S+ is not a valid model id|no endpoints found for |model \S+ not found"
)

_OUR_WORDS = {
    _C.AUTH: "the provider does not accept the router's key",
    _C.NO_CREDIT: "the provider's account has no credit left",
    _C.RATE_LIMITED: "the model is rate limited",
    _C.MODEL_GONE: "the provider has no such model",
    _C.INCAPABLE: "no endpoint of the model serves such a request",
    _C.REQUEST: "the provider refused the request",
    _C.POLICY: "the provider's content policy refused the request",
    _C.MISCONFIGURED: "the provider's address does not lead to its API",
    _C.PROTOCOL: "the provider's answer is not one of a chat API",
    _C.UPSTREAM_5XX: "the provider failed",
}


def from_answer(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float | None = None
) -> Failure:
    """Classify an HTTP answer that is not what was asked for, a 200 with an error body included.

    `now` is unix time for Retry-After dates where the answer has no Date header.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    document = decoded(body)
    error = document.get("error") if isinstance(document, Mapping) else None
    return _failure(read_error(error, status, lowered), now)


def from_error_object(error: object, *, status: int, now: float | None = None) -> Failure:
    """Classify the value of an `error` key, from a body or an event that came with `status`.

    Inside a 200 the error's own code counts; `http_status` of the result is the one it stands for.
    """
    return _failure(read_error(error, status, {}), now)


def _failure(evidence: Evidence, now: float | None) -> Failure:
    asked, wait_s = _wait(evidence, now)
    kind = _kind(evidence, asked)
    return Failure(
        kind=kind,
        message=f"{_OUR_WORDS[kind]} (HTTP {evidence.status})",
        http_status=evidence.status,
        retry_after_s=wait_s,
        rests_all=kind is _C.RATE_LIMITED and _is_the_platforms(evidence),
        upstream_message=evidence.message or None,
        upstream_error_type=evidence.error_type,
        upstream_provider=evidence.provider,
    )


def _kind(evidence: Evidence, asked_to_wait: bool) -> FailureClass:
    status = evidence.status
    if status < 300:
        return _C.PROTOCOL  # a 200 that is neither an answer nor an error: a page of somebody's
    available = _AVAILABILITY.get(word(evidence.availability.get("code")) or "")
    if available is not None and status not in (401, 402, 403):
        if available is _C.UPSTREAM_5XX and asked_to_wait:
            return _C.RATE_LIMITED
        return available
    if status < 400 or status in (405, 407):
        return _C.MISCONFIGURED
    if status in (401, 402, 403):
        return _account_kind(evidence, asked_to_wait)
    if status == 429:
        return _C.RATE_LIMITED
    if status == 408 or status >= 500:
        if status in (501, 505):
            return _C.REQUEST
        return _C.RATE_LIMITED if status == 503 and asked_to_wait else _C.UPSTREAM_5XX
    return _request_kind(evidence)


def _account_kind(evidence: Evidence, asked_to_wait: bool) -> FailureClass:
    if evidence.status == 402:
        # With a wait, calls in flight have reserved what this one would need at most.
        return _C.RATE_LIMITED if asked_to_wait else _C.NO_CREDIT
    if evidence.status == 403:
        facts = any(evidence.metadata.get(fact) for fact in _POLICY_FACTS)
        if facts or evidence.words & _POLICY_WORDS:
            return _C.POLICY
        # Before the text: guardrails have budgets, too.
        if evidence.metadata.get("limit_source") or "limit exceeded" in evidence.text:
            return _C.NO_CREDIT
        if _POLICY_SAYS.search(evidence.text):
            return _C.POLICY
    # A provider behind OpenRouter that turns OpenRouter away says nothing about our account.
    return _C.UPSTREAM_5XX if evidence.provider else _C.AUTH


def _is_the_platforms(evidence: Evidence) -> bool:
    """Tell the limit of the whole account from a model's, a provider's or the free models'.

    Only the platform's own 429 carries X-RateLimit-* (https://openrouter.ai/docs/api_reference/limits).
    """
    if evidence.status == 402:
        return True
    is_platform = any(name.startswith("x-ratelimit-") for name in evidence.headers)
    return is_platform and not evidence.provider and "free-models" not in evidence.text


def _request_kind(evidence: Evidence) -> FailureClass:
    if evidence.words & _POLICY_WORDS:
        return _C.POLICY
    if evidence.status in (404, 410):
        if not evidence.has_error:
            return _C.MISCONFIGURED
        return _C.INCAPABLE if _INCAPABLE.search(evidence.text) else _C.MODEL_GONE
    if evidence.status == 400:
        if "model_not_found" in evidence.words or _NOT_A_MODEL.match(evidence.text):
            return _C.MODEL_GONE
        if evidence.availability.get("retryable") is False:
            return _C.MODEL_GONE
    return _C.REQUEST


def _wait(evidence: Evidence, now: float | None) -> tuple[bool, float | None]:
    """Return whether upstream asked to wait, and for how long if that could be read."""
    headers, metadata = evidence.headers, evidence.metadata
    if now is None:
        now = retry_after.answer_time(headers) or time.time()
    asked = [
        value
        for value in (
            headers.get("retry-after"),
            metadata.get("retry_after_seconds"),
            evidence.availability.get("retry_after"),
        )
        if value is not None
    ]
    for value in asked:
        seconds = retry_after.duration_s(value, now)
        if seconds is not None:
            return True, seconds
    for value in (headers.get("x-ratelimit-reset"), metadata.get("resets_at")):
        seconds = retry_after.moment_s(value, now)
        if seconds is not None:
            return bool(asked), seconds
    return bool(asked), None
