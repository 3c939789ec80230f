"""What a call cost in nano-USD: USD turned into whole numbers, and tokens times list price.

Prices are decimal strings in USD per token (https://openrouter.ai/docs/api_reference/models). A
price that is missing, malformed or "-1" (it depends on what will be chosen) makes the cost
unknown, never 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from llm_router.ledger.cost import UNKNOWN_COST, Cost, CostSource, Usage

_TRUST: tuple[CostSource, ...] = ("provider", "reconciled", "computed", "estimated", "unknown")

_NANO = Decimal("1e-9")
_FREE = Decimal(0)
_LIMIT_USD = 1_000_000  # no call costs this much; whoever says so is wrong
MOST_TOKENS = 2**53  # beyond it no JSON number is a count
_MOVES = 10  # a price that moves by more than this factor is more likely a mistake
_WATCHED = ("prompt", "completion", "input_cache_read", "request")
_CONDITIONS = frozenset({"min_prompt_tokens", "utc_start", "utc_end", "utc_days"})
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class _Unpriced(Exception):
    """Something that the cost depends on is not known."""


def nanousd(value: object) -> int | None:
    """Return a JSON number or decimal string of USD as nano-USD, ties to even.

    None for what no cost can be: negative, not a number, a boolean, a million and more.
    """
    if type(value) is float:
        if not 0.0 <= value < _LIMIT_USD:
            return None
        scaled = value * 1e9
        nearest = round(scaled)
        # Below 1e15 the error of `scaled` is under 0.13, so only near a tie can it mislead.
        if -0.25 < scaled - nearest < 0.25:
            return nearest
        return _nanousd(Decimal(repr(value)))
    if type(value) is int or type(value) is str:
        try:
            return _nanousd(Decimal(value))
        except InvalidOperation:
            return None
    return None


def token_count(value: object) -> int | None:
    """Return a JSON number of tokens; None for what no count can be."""
    # By its very type: a boolean is an int, too.
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def cost_of(usage: Usage, pricing: Mapping[str, object] | None, *, now: float) -> Cost:
    """Return tokens times list price, rounded once at the end; unknown where something is missing.

    `now` (unix seconds) picks among prices that depend on the time of day. Providers count cached
    tokens inside `prompt_tokens`, so they are taken out before the full prompt price applies;
    reasoning lies inside `completion_tokens` and is paid there.
    """
    try:
        cost = _nanousd(_usd(usage, pricing or {}, now))
    except _Unpriced:
        return UNKNOWN_COST
    return UNKNOWN_COST if cost is None else Cost(cost, "computed")


def is_implausible(old: Mapping[str, object], new: Mapping[str, object]) -> bool:
    """Return whether a price moved by more than ten times; from or to 0 it always does."""
    for key in _WATCHED:
        try:
            before, after = _price(old, key), _price(new, key)
        except _Unpriced:
            continue
        if max(before, after) > _MOVES * min(before, after):
            return True
    return False


def _nanousd(usd: Decimal) -> int | None:
    if not usd.is_finite() or not 0 <= usd < _LIMIT_USD:
        return None
    return int(usd.quantize(_NANO, ROUND_HALF_EVEN).scaleb(9))


def _usd(usage: Usage, pricing: Mapping[str, object], now: float) -> Decimal:
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    if prompt is None or completion is None or min(prompt, completion) < 0:
        raise _Unpriced
    cached = min(max(usage.cached_tokens or 0, 0), prompt)
    prices = dict(pricing)
    for override in _overrides(pricing.get("overrides"), prompt, now):
        prices.update(override)
    full = _price(prices, "prompt")
    usd = (
        (prompt - cached) * full
        + cached * _price(prices, "input_cache_read", default=full)
        + completion * _price(prices, "completion")
        + _price(prices, "request", default=_FREE)
    )
    discount = _price(prices, "discount", default=_FREE)
    return usd * (1 - discount)


def _price(pricing: Mapping[str, object], key: str, *, default: Decimal | None = None) -> Decimal:
    value = pricing.get(key)
    if value is None:
        if default is None:
            raise _Unpriced
        return default
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _Unpriced
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        raise _Unpriced from None
    if not price.is_finite() or not 0 <= price < _LIMIT_USD:
        raise _Unpriced
    return price


def _overrides(entries: object, prompt_tokens: int, now: float) -> Iterator[dict[str, object]]:
    """Yield the prices of each entry that applies, in order: later ones win key by key.

    An entry applies when all its conditions hold. One with a condition that we do not know could
    mean anything, so the cost becomes unknown.
    """
    if entries is None:
        return
    if not isinstance(entries, list):
        raise _Unpriced
    moment = datetime.fromtimestamp(now, UTC)
    for entry in entries:
        if not isinstance(entry, Mapping):
            raise _Unpriced
        prices = {key: value for key, value in entry.items() if key not in _CONDITIONS}
        if any(value is not None and not isinstance(value, str) for value in prices.values()):
            raise _Unpriced
        if _applies(entry, prompt_tokens, moment):
            yield prices


def _applies(entry: Mapping[str, object], prompt_tokens: int, moment: datetime) -> bool:
    """Return whether all conditions of an entry hold.

    They are `min_prompt_tokens` (strictly more), `utc_start` and `utc_end` (HHMM numbers, half
    open, which may wrap past midnight) and `utc_days`.
    """
    more_than = _number(entry.get("min_prompt_tokens"), default=-1)
    start = _number(entry.get("utc_start"), default=0)
    end = _number(entry.get("utc_end"), default=2400)
    days = entry.get("utc_days", _WEEKDAYS)
    if not isinstance(days, list | tuple):
        raise _Unpriced
    clock = moment.hour * 100 + moment.minute
    is_in_window = start <= clock < end if start <= end else clock >= start or clock < end
    return prompt_tokens > more_than and is_in_window and _WEEKDAYS[moment.weekday()] in days


def _number(value: object, *, default: float) -> float:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Unpriced
    return value


def total_cost(costs: Sequence[Cost]) -> Cost:
    """Return what a request came to: unknown if any part is, else the sum.

    Its source is the least trustworthy one among the parts that cost something or might have; a
    refused attempt's computed 0 says nothing about the rest.
    """
    if len(costs) == 1:
        return costs[0]
    if any(cost.nanousd is None for cost in costs):
        return Cost(None, "unknown")
    priced = [c.source for c in costs if c.nanousd or c.source != "computed"]
    source: CostSource = max(priced, key=_TRUST.index) if priced else "computed"
    return Cost(sum(cost.nanousd or 0 for cost in costs), source)
