"""Every exception the router raises on purpose, as one tree.

RouterError                       has a message for people
├── SettingsError                 the configuration cannot be used; the start stops
│   └── DocumentError             categories, chains and aliases that cannot be used
├── StorageError                  the database cannot do it now (locked, full, corrupt)
│   └── RowRefused                the database will never take these rows
├── UpstreamError                 one call to the provider broke below HTTP
├── ClientGone                    the client left or stopped reading
└── HttpError                     answers a client: status, type, and what else it should know
    ├── InvalidRequest            400 invalid_request
    │   ├── UnknownCategory       400 unknown_category
    │   └── NoCapableCandidate    400 no_capable_candidate
    ├── Unauthorized              401 unauthorized
    ├── Forbidden                 403 forbidden
    ├── NotFound                  404 not_found
    │   └── ModelNotFound         404 model_not_found
    ├── MethodNotAllowed          405 method_not_allowed
    ├── RequestTimeout            408 request_timeout
    ├── Conflict                  409 conflict
    ├── PayloadTooLarge           413 payload_too_large
    ├── UnsupportedMediaType      415 unsupported_media_type
    ├── TooManyRequests           429 too_many_requests
    ├── Internal                  500 internal
    ├── UpstreamRefused           upstream's own status and words, for faults of the request
    ├── UpstreamFailed            502 upstream_failed
    ├── UpstreamTimeout           504 upstream_timeout
    ├── UpstreamAccount           503 upstream_account
    ├── NoCandidate               503 no_candidate, or 429 when all merely cool down
    └── Unavailable               503 unavailable
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from llm_router.routing.failures import FailureClass


class RouterError(Exception):
    """Anything that goes wrong in a way we expect; `str()` is a sentence for people."""

    @property
    def message(self) -> str:
        return str(self)


class SettingsError(RouterError):
    """Names the file or variable, the key, and what is allowed."""


class DocumentError(SettingsError):
    """`path` is the offending place, like `categories.code.models[1]`; empty for the whole."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem


class StorageError(RouterError):
    """SQLite could not do what was asked; nothing was half written."""


class RowRefused(StorageError):
    """A row breaks a rule of the schema: trying again is no use, doing without it is."""


class UpstreamError(RouterError):
    """A call to the provider broke below HTTP; `kind` says what the failure table needs to know."""

    def __init__(self, kind: "FailureClass", message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ClientGone(RouterError):
    """The client disconnected or stopped reading. Never evidence about a model."""


class HttpError(RouterError):
    """An answer in the one error shape.

    `param` names the offending field, `metadata` holds what programs may want, `headers` go with
    the answer, `retry_after_s` becomes Retry-After, and `is_final` says `x-should-retry: false`,
    which keeps SDKs from multiplying a chain that has already been walked. So does a long wait.
    """

    status: int = 500
    type: ClassVar[str] = "internal"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        retry_after_s: float | None = None,
        is_final: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.param = param
        self.metadata = metadata
        self.retry_after_s = retry_after_s
        self.is_final = is_final
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """Return `{"error": {...}}`, the shape OpenAI's and OpenRouter's SDKs both read."""
        error: dict[str, Any] = {"message": self.message, "code": self.status, "type": self.type}
        if self.param is not None:
            error["param"] = self.param
        if self.metadata:
            error["metadata"] = dict(self.metadata)
        return {"error": error}


class InvalidRequest(HttpError):
    status = 400
    type = "invalid_request"


class UnknownCategory(InvalidRequest):
    type = "unknown_category"


class NoCapableCandidate(InvalidRequest):
    """Every model of the chain was left out because it cannot serve this request."""

    type = "no_capable_candidate"


class Unauthorized(HttpError):
    status = 401
    type = "unauthorized"


class Forbidden(HttpError):
    status = 403
    type = "forbidden"


class NotFound(HttpError):
    status = 404
    type = "not_found"


class ModelNotFound(NotFound):
    type = "model_not_found"


class MethodNotAllowed(HttpError):
    status = 405
    type = "method_not_allowed"


class RequestTimeout(HttpError):
    status = 408
    type = "request_timeout"


class Conflict(HttpError):
    status = 409
    type = "conflict"


class PayloadTooLarge(HttpError):
    status = 413
    type = "payload_too_large"


class UnsupportedMediaType(HttpError):
    status = 415
    type = "unsupported_media_type"


class TooManyRequests(HttpError):
    status = 429
    type = "too_many_requests"


class Internal(HttpError):
    status = 500
    type = "internal"


class UpstreamRefused(HttpError):
    """The request itself is at fault: upstream's status and message, nothing else of it."""

    type = "upstream_refused"

    def __init__(self, message: str, *, status: int, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.status = status


class UpstreamFailed(HttpError):
    status = 502
    type = "upstream_failed"


class UpstreamTimeout(HttpError):
    status = 504
    type = "upstream_timeout"


class UpstreamAccount(HttpError):
    """Our own key or credit is at fault; a 401 would make clients throw theirs away."""

    status = 503
    type = "upstream_account"


class NoCandidate(HttpError):
    status = 503
    type = "no_candidate"

    def __init__(self, message: str, *, is_rate_limited: bool = False, **facts: Any) -> None:
        super().__init__(message, **facts)
        if is_rate_limited:
            self.status = 429


class Unavailable(HttpError):
    status = 503
    type = "unavailable"
