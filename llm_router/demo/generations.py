"""What GET /generation knows: each call's tokens and price, some polls after the fact."""

from dataclasses import dataclass
from typing import Any

from llm_router.clock import utc_text
from llm_router.demo.answers import Answer
from llm_router.demo.script import Call


@dataclass(slots=True)
class _Generation:
    facts: dict[str, Any]
    polls_left: int


class Generations:
    """OpenRouter writes a generation some seconds after it ended; `polls` stands for that time."""

    def __init__(self, *, polls: int, keep: int) -> None:
        self.polls = polls
        self._keep = keep
        self._known: dict[str, _Generation] = {}

    def add(self, answer: Answer, call: Call, *, tokens: int) -> None:
        """Note how a call ended; `tokens` of its completion were billed."""
        is_cancelled = call.disconnected_at is not None or not call.finished
        finish = None if is_cancelled else answer.finish
        facts = {
            "id": answer.id,
            "model": answer.served,
            "provider_name": answer.provider,
            "created_at": utc_text(answer.created),
            "streamed": answer.is_streaming,
            "cancelled": is_cancelled,
            "finish_reason": finish,
            "native_finish_reason": finish,
            "tokens_prompt": answer.prompt_tokens,
            "tokens_completion": tokens,
            "native_tokens_prompt": answer.prompt_tokens,
            "native_tokens_completion": tokens,
            "native_tokens_reasoning": min(len(answer.reasoning), tokens),
            "native_tokens_cached": 0,
            "total_cost": float(call.billed_usd),
            "usage": float(call.billed_usd),
            "upstream_inference_cost": None,
            "cache_discount": None,
            "latency": 12,
            "generation_time": 34,
            "is_byok": False,
            "session_id": None,
            "request_id": None,
            "router": None,
            "service_tier": None,
            "provider_responses": [],
        }
        if len(self._known) >= self._keep:
            self._known.pop(next(iter(self._known)))
        self._known[answer.id] = _Generation(facts, self.polls)

    def poll(self, generation_id: str) -> dict[str, Any] | None:
        """Return a generation's facts, or None while OpenRouter would still answer 404."""
        found = self._known.get(generation_id)
        if found is None:
            return None
        if found.polls_left > 0:
            found.polls_left -= 1
            return None
        return found.facts
