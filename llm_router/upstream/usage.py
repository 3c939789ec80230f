"""Usage objects as OpenRouter sends them, in whatever shape the provider behind it produced."""

from typing import Any

from llm_router.ledger.cost import NO_USAGE, Cost, Usage
from llm_router.ledger.pricing import nanousd, token_count


def parse_usage(usage: object) -> tuple[Usage, Cost | None]:
    """Return the token counts, and the cost if the object says one.

    Values that make no sense (negative, text, absurd) are left out rather than booked. `cost` is
    what OpenRouter charged, in USD (openrouter.ai/docs, Usage Accounting), never a sum of parts.
    """
    if not isinstance(usage, dict):
        return NO_USAGE, None
    prompt = _part(usage, "prompt_tokens_details")
    completion = _part(usage, "completion_tokens_details")
    tokens = Usage(
        prompt_tokens=token_count(usage.get("prompt_tokens")),
        completion_tokens=token_count(usage.get("completion_tokens")),
        cached_tokens=token_count(prompt.get("cached_tokens")),
        reasoning_tokens=token_count(completion.get("reasoning_tokens")),
    )
    cost = nanousd(usage.get("cost"))
    return tokens, None if cost is None else Cost(cost, "provider")


def _part(usage: dict[str, Any], name: str) -> dict[str, Any]:
    part = usage.get(name)
    return part if isinstance(part, dict) else {}
