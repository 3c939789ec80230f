"""An error of the provider, read leniently into the facts that tell errors apart.

OpenRouter documents `{"error": {"code", "message", "metadata"}}`
(https://openrouter.ai/docs/api_reference/errors-and-debugging); codes are numbers or words, newer
bodies put `error_type`, `http_status` and `availability` beside them, and every key may be missing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

MESSAGE_CHARS = 512
_NAME_CHARS = 64
_READ_CHARS = 4096  # how much of a text is looked at at all
_READ_BYTES = 1 << 20

_SECRET = re.compile(r"\b(sk-)[\w-]{6,}")

# Words of `error_type`, `code` and `type`, as the status they stand for.
_STATUS_OF_WORD = {
    "authentication": 401,
    "invalid_api_key": 401,
    "payment_required": 402,
    "insufficient_quota": 402,
    "permission_denied": 403,
    "not_found": 404,
    "model_not_found": 404,
    "precondition_failed": 412,
    "payload_too_large": 413,
    "unprocessable": 422,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "server": 500,
    "server_error": 500,
    "provider_unavailable": 502,
    "provider_overloaded": 503,
    "overloaded_error": 503,
    "timeout": 504,
    **dict.fromkeys(
        (
            "context_length_exceeded",
            "max_tokens_exceeded",
            "token_limit_exceeded",
            "string_too_long",
            "invalid_request",
            "invalid_request_error",
            "invalid_prompt",
            "content_policy_violation",
            "refusal",
            "invalid_image",
            "image_too_large",
            "image_too_small",
            "unsupported_image_format",
            "image_not_found",
            "image_download_failed",
        ),
        400,
    ),
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found in an answer; `status` is the HTTP status or the one the error stands for."""

    status: int
    message: str = ""
    words: frozenset[str] = frozenset()
    text: str = ""  # the whole message in lower case: for telling cases apart, never shown
    metadata: Mapping[str, object] = field(default_factory=dict)
    availability: Mapping[str, object] = field(default_factory=dict)
    provider: str | None = None
    error_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    has_error: bool = False


def read_error(error: object, status: int, headers: Mapping[str, str]) -> Evidence:
    """Read the value of an `error` key; `headers` have lower-case names and go before its own."""
    if isinstance(error, str) and error:
        error = {"message": error}
    if not isinstance(error, Mapping) or not error:
        return Evidence(status, headers=headers)
    metadata = _mapping(error.get("metadata"))
    availability = _mapping(error.get("availability")) or _mapping(metadata.get("availability"))
    error_type = word(metadata.get("error_type")) or word(error.get("error_type"))
    named = (error_type, word(error.get("code")), word(error.get("type")))
    message = _clipped(error.get("message"), _READ_CHARS)
    return Evidence(
        status=status if status >= 300 else _inner_status(error, metadata, named),
        message=_SECRET.sub(r"\1***", message)[:MESSAGE_CHARS],
        words=frozenset(each for each in named if each),
        text=message.lower(),
        metadata=metadata,
        availability=availability,
        provider=_clipped(metadata.get("provider_name"), _NAME_CHARS) or None,
        error_type=error_type,
        headers={**_texts(_mapping(metadata.get("headers"))), **headers},
        has_error=True,
    )


def _inner_status(
    error: Mapping[object, object],
    metadata: Mapping[str, object],
    named: tuple[str | None, ...],
) -> int:
    """Return the status an error inside a 200 stands for; 502 where it does not say."""
    for value in (error.get("code"), error.get("http_status"), error.get("status")):
        status = _status(value)
        if status is not None:
            return status
    for named_word in (*named, word(metadata.get("provider_code"))):
        if named_word in _STATUS_OF_WORD:
            return _STATUS_OF_WORD[named_word]
    return 502


def _status(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{3}", value):
        value = int(value)
    return value if isinstance(value, int) and 400 <= value <= 599 else None


def decoded(body: bytes) -> object:
    """Return a body as JSON values, or None if it is none or too large to be an error."""
    if len(body) > _READ_BYTES:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _texts(headers: Mapping[str, object]) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}


def word(value: object) -> str | None:
    """Return a short printable text, or None for anything else."""
    return _clipped(value, _NAME_CHARS) or None


def _clipped(value: object, chars: int) -> str:
    """Return text on one line: what does not print (controls, escapes, bidi marks) is a space."""
    if not isinstance(value, str):
        return ""
    visible = "".join(char if char.isprintable() else " " for char in value[:_READ_CHARS])
    return " ".join(visible.split())[:chars]
