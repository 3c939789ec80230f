"""What each kind of failure means: may another model try, does it count, who is at fault.

One row a class; nothing else in the router decides these questions. The rules come from
OpenRouter's documentation on errors and limits and from what other gateways learned the hard way.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Literal

Counts = Literal["nothing", "model", "transport", "model_and_transport"]
Cools = Literal["nothing", "model", "model_gone"]
Fault = Literal["upstream", "account", "request", "client", "router"]


@dataclass(frozen=True, slots=True)
class Rule:
    """`falls_back`: another model may cure it. `counts`: which breaker takes it as a failure.
    `cools`: what rests for a while without a failure. `closes_account`: no call makes sense now.
    `is_answer`: upstream answered over HTTP, which is evidence that the transport works.
    """

    falls_back: bool
    counts: Counts
    fault: Fault
    cools: Cools = "nothing"
    closes_account_s: float | None = None
    is_answer: bool = True
    is_timeout: bool = False


class FailureClass(Enum):
    """The value is what stands in `error_class` columns and in error events."""

    TRANSPORT = "transport"  # DNS, connect, TLS: the provider cannot be reached
    CONNECT_TIMEOUT = "connect_timeout"
    LOCAL = "local"  # our own limits: descriptors, memory, draining
    STALE_CONNECTION = "stale_conn"  # a pooled connection had died; retried once on a new one
    NO_RESPONSE = "no_response"  # the connection broke before one valid HTTP answer
    PROTOCOL = "protocol_pre"  # HTTP answered, then reset, early end or garbage before the commit
    UPSTREAM_5XX = "upstream_5xx"
    RATE_LIMITED = "rate"
    NO_CREDIT = "no_credit"
    AUTH = "auth"
    MODEL_GONE = "model_gone"
    INCAPABLE = "incapable"  # no endpoint of this model can do what the request needs
    REQUEST = "request"
    POLICY = "policy"
    MISCONFIGURED = "misconfig"  # a redirect, which is never followed
    STALL_FIRST = "stall_first"  # nothing with substance in time
    STALL_MID = "stream_stalled"
    TRUNCATED = "stream_truncated"  # ended without a finish
    RESET_MID = "upstream_reset"
    ERROR_MID = "error_mid"  # the provider's own error event after the commit
    EVENT_TOO_LARGE = "event_too_large"
    RESPONSE_TOO_LARGE = "response_too_large"
    TOTAL_TIMEOUT = "total_timeout"
    EMPTY = "empty"  # a clean finish with nothing to show
    CLIENT_GONE = "client_gone"
    DRAINING = "draining"

    @property
    def rule(self) -> Rule:
        return RULES[self]


_C = FailureClass
RULES: dict[FailureClass, Rule] = {
    _C.TRANSPORT: Rule(True, "transport", "upstream", is_answer=False),
    _C.CONNECT_TIMEOUT: Rule(True, "transport", "upstream", is_answer=False, is_timeout=True),
    _C.LOCAL: Rule(False, "nothing", "router", is_answer=False),
    _C.STALE_CONNECTION: Rule(True, "nothing", "upstream", is_answer=False),
    _C.NO_RESPONSE: Rule(True, "model_and_transport", "upstream", is_answer=False),
    _C.PROTOCOL: Rule(True, "model", "upstream"),
    _C.UPSTREAM_5XX: Rule(True, "model", "upstream"),
    _C.RATE_LIMITED: Rule(True, "nothing", "upstream", cools="model"),
    _C.NO_CREDIT: Rule(False, "nothing", "account", closes_account_s=600),
    _C.AUTH: Rule(False, "nothing", "account", closes_account_s=60),
    _C.MODEL_GONE: Rule(True, "nothing", "upstream", cools="model_gone"),
    _C.INCAPABLE: Rule(True, "nothing", "upstream"),
    _C.REQUEST: Rule(False, "nothing", "request"),
    _C.POLICY: Rule(False, "nothing", "request"),
    _C.MISCONFIGURED: Rule(True, "transport", "upstream"),
    _C.STALL_FIRST: Rule(True, "model", "upstream", is_timeout=True),
    _C.STALL_MID: Rule(False, "model", "upstream", is_timeout=True),
    _C.TRUNCATED: Rule(False, "model", "upstream"),
    _C.RESET_MID: Rule(False, "model", "upstream"),
    _C.ERROR_MID: Rule(False, "model", "upstream"),
    _C.EVENT_TOO_LARGE: Rule(True, "model", "upstream"),
    _C.RESPONSE_TOO_LARGE: Rule(True, "model", "upstream"),
    _C.TOTAL_TIMEOUT: Rule(False, "model", "upstream", is_timeout=True),
    _C.EMPTY: Rule(True, "nothing", "upstream"),
    _C.CLIENT_GONE: Rule(False, "nothing", "client", is_answer=False),
    _C.DRAINING: Rule(False, "nothing", "router", is_answer=False),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt, as evidence for the breaker, the ledger and the client.

    `retry_after_s` is what upstream asked for, already clamped; `rests_all` says that it asked
    for all models, not only for this one. `upstream_*` are its own words, at most 512 characters,
    shown to the client only where the request is at fault.
    """

    kind: FailureClass
    message: str
    http_status: int | None = None
    retry_after_s: float | None = None
    rests_all: bool = False
    upstream_message: str | None = None
    upstream_error_type: str | None = None
    upstream_provider: str | None = None

    @property
    def rule(self) -> Rule:
        return RULES[self.kind]
