"""What asking a breaker leads to: leave to call, a refusal, or a probe that must be claimed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

GateName = Literal["account", "transport", "breaker", "cooldown"]


class Permit(Struct, eq=False):
    """Leave to call one model once. Hand it back through exactly one of the three settlements.

    `past_rate`: let in although the platform had asked for a rest.
    """

    model: str
    request_id: str
    number: int
    is_probe: bool = False
    is_settled: bool = False
    past_rate: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """`retry_after_s` is when every gate that refuses now may let somebody in, at the earliest."""

    gate: GateName
    retry_after_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class ProbeDue:
    """A probe is due that another process may claim as well; `claimed` says who has it."""

    claimed: Callable[[], Awaitable[Permit | Refusal]]
