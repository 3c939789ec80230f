"""Errors in the shapes OpenRouter documents: as an HTTP answer, a 200 body, an event."""

import json
from typing import Any

from aiohttp import web

from llm_router.demo.answers import Answer
from llm_router.demo.behaviour import Behaviour

# status: (message, error_type), from OpenRouter's page on errors and from captured answers.
_WORDS: dict[int, tuple[str, str]] = {
    400: ("Invalid request parameters", "invalid_request"),
    401: ("User not found.", "authentication"),
    402: (
        "Insufficient credits. Add more using https://openrouter.ai/credits",
        "payment_required",
    ),
    403: ("Your chosen model requires moderation and your input was flagged", "permission_denied"),
    404: ("No endpoints found for {model}.", "not_found"),
    408: ("Your request timed out", "timeout"),
    413: ("Request body is too large", "payload_too_large"),
    422: ("Unprocessable request", "unprocessable"),
    429: ("Provider returned error", "rate_limit_exceeded"),
    500: ("Internal Server Error", "server"),
    502: ("Provider returned error", "provider_unavailable"),
    503: ("Provider is overloaded", "provider_overloaded"),
    504: ("The provider timed out", "timeout"),
    524: ("A timeout occurred", "timeout"),
    529: ("Provider is overloaded", "provider_overloaded"),
}


def error(status: int, behaviour: Behaviour, model: str, provider: str) -> dict[str, Any]:
    """Return the object under `error`."""
    words, error_type = _WORDS.get(status, (f"Provider answered {status}", "unmapped"))
    metadata: dict[str, Any] = {
        "error_type": behaviour.error_type or error_type,
        "provider_name": provider,
        "raw": f"{model} refuses, as the demo was told to",
    }
    if behaviour.retry_after is not None:
        metadata["headers"] = {"Retry-After": str(behaviour.retry_after)}
    facts: dict[str, Any] = {
        "message": behaviour.message or words.format(model=model),
        "metadata": metadata,
    }
    if behaviour.platform:
        facts["message"] = behaviour.message or "Rate limit exceeded: free-models-per-min"
        metadata["headers"] = platform_headers()
    if behaviour.platform or status == 401:  # OpenRouter itself speaks, no provider behind it
        del metadata["provider_name"]
    if behaviour.code != "none":
        facts["code"] = _code(behaviour.code, status)
    return facts


def body(status: int, behaviour: Behaviour, model: str, provider: str) -> bytes:
    facts = {"error": error(status, behaviour, model, provider), "user_id": "user_demo"}
    return json.dumps(facts).encode()


class Refused(Exception):
    """A call that OpenRouter itself turns away, with the documented minimum of words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def body(self) -> bytes:
        return json.dumps({"error": {"message": str(self), "code": self.status}}).encode()


def authorize(request: web.Request, api_key: str | None) -> None:
    """Raise Refused without a Bearer key, or with another than `api_key`, if there is one."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise Refused(401, "Missing Authentication header")
    if api_key is not None and key != api_key:
        raise Refused(401, "User not found.")


def headers(behaviour: Behaviour) -> dict[str, str]:
    """Return the headers that belong to an HTTP error."""
    found = platform_headers() if behaviour.platform else {}
    if behaviour.retry_after is not None:
        found["Retry-After"] = str(behaviour.retry_after)
    return found


def platform_headers() -> dict[str, str]:
    reset_ms = "1790000000000"
    return {
        "X-RateLimit-Limit": "20",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": reset_ms,
    }


def event(answer: Answer) -> bytes:
    """Return an error as an event of a stream, as OpenRouter's page on errors shows it."""
    behaviour = answer.shape
    status = behaviour.status or 500
    facts: dict[str, Any] = {"error": error(status, behaviour, answer.served, answer.provider)}
    if behaviour.choices != "none":
        delta = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
        facts = {
            "id": answer.id,
            "object": "chat.completion.chunk",
            "created": answer.created,
            "model": answer.served,
            "provider": answer.provider,
            **facts,
            "choices": [delta] if behaviour.choices == "present" else [],
        }
    return b"data: " + json.dumps(facts).encode() + b"\n\n"


def page(status: int) -> bytes:
    """Return what a CDN in front of an API answers when it is in trouble."""
    return (
        f"<!DOCTYPE html><html><head><title>{status} | demo</title></head>"
        "<body><h1>Just a moment…</h1><p>The demo upstream was told to answer HTML.</p></body>"
        "</html>"
    ).encode()


def _code(wanted: str | int | None, status: int) -> int | str:
    if wanted is None:
        return status
    text = str(wanted)
    return int(text) if text.isascii() and text.isdigit() else text
