"""What a call used and what it came to, as journal entries carry it: field order is wire order."""

from typing import Literal

from msgspec import Struct

CostSource = Literal["provider", "reconciled", "computed", "estimated", "unknown"]


class Usage(Struct, frozen=True, array_like=True, gc=False):
    """Token counts as the provider sent them; `cached` and `reasoning` lie inside the other two."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class Cost(Struct, frozen=True, array_like=True, gc=False):
    """`nanousd` is None exactly when `source` is "unknown"."""

    nanousd: int | None
    source: CostSource


UNKNOWN_COST = Cost(None, "unknown")
REFUSED_COST = Cost(0, "computed")  # refused with an error status before any event
NO_USAGE = Usage()
